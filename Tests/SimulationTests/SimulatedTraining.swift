import ClusterFixtures

@testable import ClusterCore

/// An artifact of the simulation: eight bytes, with a digest derived from them.
struct Content: Hashable {
    let value: UInt64

    static let sizeBytes = 8

    var bytes: [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }

    /// Makes an artifact of received bytes; nil if they are not eight.
    init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.sizeBytes else { return nil }
        value = bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    init(value: UInt64) { self.value = value }

    /// The digest contains the value, so that a simulated trainer can read its checkpoint without a table.
    var sha256: String {
        let digits = Array("0123456789abcdef".utf8)
        let half = (0..<16).map { digits[Int(value >> (60 - 4 * UInt64($0)) & 15)] }
        return String(decoding: half + half + half + half, as: UTF8.self)
    }

    init(sha256: String) { value = UInt64(sha256.prefix(16), radix: 16)! }
}

/// The computation of a simulated training. Every iteration depends on all earlier ones, so a run that resumes from a
/// wrong checkpoint or counts an iteration twice ends with another generator.
struct Training {
    /// The recipe is `TOTAL every N`, plus `poison` if it fails on every worker.
    let total: Int
    let checkpointEvery: Int
    let isPoison: Bool
    private(set) var iteration = 0
    /// The lowest byte is 0. In a checkpoint it holds the iteration, and a flag for a wrong checksum.
    private var state: UInt64

    /// Stands for all files of an exemplar: of a photograph itself, of a material the albedo and every map.
    static func subject(of inputs: [JobInput]) -> String {
        let files = inputs.filter { $0.name == JobInput.exemplar || $0.map != nil }.map {
            Content(sha256: $0.artifact.sha256).value
        }
        guard files.count > 1 else { return inputs[0].artifact.sha256 }
        return Content(value: files.reduce(0) { SeededRandom.mix($0 ^ $1) }).sha256
    }

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
    /// A checkpoint that was damaged before the worker computed its digest.
    var tornCheckpoint: Content { Content(value: checkpoint.value | 0x80) }
    var generator: Content { Content(value: SeededRandom.mix(state ^ 1)) }
    var discriminator: Content { Content(value: SeededRandom.mix(state ^ 2)) }
    var snapshot: Content { Content(value: SeededRandom.mix(state ^ 3)) }

    /// Resumes from a checkpoint.
    /// - Returns: false if its checksum is wrong.
    mutating func resume(_ checkpoint: Content) -> Bool {
        iteration = Int(checkpoint.value & 0x7F)
        state = checkpoint.value & ~0xFF
        return checkpoint.value & 0x80 == 0
    }

    /// The picture that work with these options makes with a generator.
    static func picture(generator: String, spec: String) -> Content {
        let salt = spec.utf8.reduce(UInt64(7)) { $0 &* 31 &+ UInt64($1) }
        return Content(value: SeededRandom.mix(Content(sha256: generator).value ^ salt))
    }

    /// The generator of an undisturbed run with the same exemplar and recipe.
    static func undisturbedGenerator(exemplar: String, recipe: String) -> String {
        var training = Training(exemplar: exemplar, recipe: recipe)
        while training.iteration < training.total { training.advance() }
        return training.generator.sha256
    }
}
