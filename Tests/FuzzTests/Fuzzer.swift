import Foundation
import Testing

/// Feeds damaged inputs to a decoder. The decoder may throw anything, but it must return: a crash ends the test
/// process.
///
/// `TEXLOOM_FUZZ=N` multiplies the executions by N. `TEXLOOM_FUZZ_SEED` starts elsewhere. `TEXLOOM_FUZZ_KEEP=FILE`
/// writes every input to FILE before trying it, so that FILE keeps the input that ends the process.
struct Fuzzer {
    let name: String
    let corpus: [[UInt8]]

    private static let environment = ProcessInfo.processInfo.environment
    static let factor = Int(environment["TEXLOOM_FUZZ"] ?? "") ?? 1
    private static let firstSeed = UInt64(environment["TEXLOOM_FUZZ_SEED"] ?? "") ?? 1
    private static let kept = environment["TEXLOOM_FUZZ_KEEP"].map { URL(fileURLWithPath: $0) }

    /// - Parameters:
    ///   - executions: The number of inputs to try.
    ///   - repair: Corrects the checksums of some inputs.
    ///   - decode: Throws on inputs that it refuses.
    func run(
        executions: Int, repair: ([UInt8]) -> [UInt8] = { $0 }, decode: ([UInt8]) throws -> Void
    ) throws {
        // The fuzzer is useless if the decoder refuses even undamaged inputs.
        for input in corpus { #expect(throws: Never.self, "\(name): of the corpus") { try decode(input) } }
        var (taken, longest) = (0, Duration.zero)
        let count = executions * Self.factor
        for execution in 0..<count {
            var mutator = Mutator(seed: (Self.firstSeed &+ UInt64(execution)) &* 0x1_0000_0001)
            var input = mutator.mutate(corpus[mutator.below(corpus.count)], with: corpus)
            if mutator.below(3) > 0 { input = repair(input) }
            if let kept = Self.kept { try Data(input).write(to: kept) }
            let began = Self.cpuTime
            do {
                try decode(input)
                taken += 1
            } catch {}
            longest = max(longest, Self.cpuTime - began)
        }
        print("fuzz: \(name): \(count) executions, \(taken) taken, \(count - taken) refused, longest \(longest)")
        #expect(taken < count, "\(name): damage must be of some consequence")
        // A guard against far too much work, not a measurement.
        #expect(longest < .seconds(60), "\(name): an input takes \(longest)")
    }

    /// CPU time of this thread: other tests of the run take turns with it.
    private static var cpuTime: Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}

/// Work on an accepted input. A throw here is a bug, not a refusal.
func afterwards(_ body: () throws -> Void) { #expect(throws: Never.self, performing: body) }

/// A folder that is removed after the test.
final class ScratchFolder {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appendingPathComponent(
            "texloom-fuzz-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    func file(_ name: String) -> URL { url.appendingPathComponent(name) }
}
