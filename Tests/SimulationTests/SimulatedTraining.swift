/// An artifact of the simulation: eight bytes, under a digest made up from them.
struct Content: Hashable {
    let value: UInt64

    static let sizeBytes = 8

    var bytes: [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }

    /// Bytes that arrived; nil if they are not eight.
    init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.sizeBytes else { return nil }
        value = bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    init(value: UInt64) { self.value = value }

    /// A digest holds the value, so that a simulated trainer can read its checkpoint without a table.
    var sha256: String {
        let digits = Array("0123456789abcdef".utf8)
        let half = (0..<16).map { digits[Int(value >> (60 - 4 * UInt64($0)) & 15)] }
        return String(decoding: half + half + half + half, as: UTF8.self)
    }

    init(sha256: String) { value = UInt64(sha256.prefix(16), radix: 16)! }
}

/// What a simulated training computes: every iteration depends on all before it, so that a run that resumed from a
/// wrong checkpoint, or counted an iteration twice, ends with another generator.
struct Training {
    /// The recipe is `TOTAL every N`, and `poison` for one that fails wherever it runs.
    let total: Int
    let checkpointEvery: Int
    let isPoison: Bool
    private(set) var iteration = 0
    /// The lowest byte is 0: in a checkpoint it holds the iteration, and whether its sum is wrong.
    private var state: UInt64

    init(exemplar: String, recipe: String) {
        let words = recipe.split(separator: " ")
        total = Int(words[0])!
        checkpointEvery = Int(words[2])!
        isPoison = words.last == "poison"
        state = SeededRandom.mix(Content(sha256: exemplar).value ^ UInt64(total)) & ~0xFF
    }

    mutating func advance() {
        iteration += 1
        state = SeededRandom.mix(state &+ UInt64(iteration)) & ~0xFF
    }

    var checkpoint: Content { Content(value: state | UInt64(iteration)) }
    /// One that was damaged on its way to the disk, before its digest was taken.
    var tornCheckpoint: Content { Content(value: checkpoint.value | 0x80) }
    var generator: Content { Content(value: SeededRandom.mix(state ^ 1)) }
    var discriminator: Content { Content(value: SeededRandom.mix(state ^ 2)) }
    var snapshot: Content { Content(value: SeededRandom.mix(state ^ 3)) }

    /// Goes on from a checkpoint.
    /// - Returns: false if its sum is wrong.
    mutating func resume(_ checkpoint: Content) -> Bool {
        iteration = Int(checkpoint.value & 0x7F)
        state = checkpoint.value & ~0xFF
        return checkpoint.value & 0x80 == 0
    }

    /// What an undisturbed run of the same exemplar and recipe ends with.
    static func undisturbedGenerator(exemplar: String, recipe: String) -> String {
        var training = Training(exemplar: exemplar, recipe: recipe)
        while training.iteration < training.total { training.advance() }
        return training.generator.sha256
    }
}
