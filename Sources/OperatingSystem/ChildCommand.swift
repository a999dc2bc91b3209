import CSpawn
import Foundation

/// Another program, run to its end. It inherits neither the environment of this process nor its open files.
public struct ChildCommand: Sendable {
    /// How it ended.
    public enum End: Sendable, Equatable {
        case exited(Int32)
        /// By a signal from elsewhere.
        case killed(Int32)
        /// It took longer than ``limit``, and was killed with all processes of its group.
        case tookTooLong
        /// The caller asked for it; killed in the same way.
        case cancelled
        /// The system did not keep how it ended, because this process ignores SIGCHLD; see ``keepEnds()``.
        case unknown
    }

    public struct Result: Sendable, Equatable {
        public var end: End
        /// The last line that it wrote to standard error; "" if it wrote none.
        public var lastLine: String
    }

    /// How often it looks for the end, at least.
    private static let interval: Int32 = 50
    /// Bytes of standard error that it keeps.
    private static let keptBytes = 4096

    public var program: URL
    /// After the program's own name.
    public var arguments: [String]
    /// All of it.
    public var environment: [String: String]
    /// Standard input.
    public var input: Data
    public var limit: Duration

    public init(program: URL, arguments: [String], environment: [String: String], input: Data, limit: Duration) {
        self.program = program
        self.arguments = arguments
        self.environment = environment
        self.input = input
        self.limit = limit
    }

    /// Blocks until the program has ended.
    /// - Parameter isCancelled: Asked many times a second; true kills the program.
    /// - Throws: ``FileFailure`` if it cannot be started.
    public func run(isCancelled: () -> Bool) throws(FileFailure) -> Result {
        var child: pid_t = 0
        var errors: Int32 = -1
        let number = start(&child, &errors)
        guard number == 0 else { throw FileFailure("run", program, number: number) }
        defer { if errors >= 0 { close(errors) } }
        let deadline = ContinuousClock.now + limit
        var tail: [UInt8] = []
        while true {
            if errors >= 0 {
                var wanted = pollfd(fd: errors, events: Int16(POLLIN), revents: 0)
                poll(&wanted, 1, Self.interval)
                read(&errors, into: &tail)
            } else {
                usleep(UInt32(Self.interval) * 1000)
            }
            var status: Int32 = 0
            let ended = waitpid(child, &status, WNOHANG)
            if ended == child || ended < 0 && errno == ECHILD {
                // A process that it left behind may hold the pipe open.
                read(&errors, into: &tail)
                return Result(end: ended == child ? Self.end(status) : .unknown, lastLine: Self.lastLine(of: tail))
            }
            let isLate = ContinuousClock.now >= deadline
            guard isLate || isCancelled() else { continue }
            kill(-child, SIGKILL)
            while waitpid(child, &status, 0) < 0, errno == EINTR {}
            read(&errors, into: &tail)
            return Result(end: isLate ? .tookTooLong : .cancelled, lastLine: Self.lastLine(of: tail))
        }
    }

    /// Makes the system keep how children end, for this process and all its children. Call it when the program starts:
    /// the program's parent may have ignored SIGCHLD, and a process inherits that.
    public static func keepEnds() { signal(SIGCHLD, SIG_DFL) }

    private static func end(_ status: Int32) -> End {
        let signal = status & 0x7F
        return signal == 0 ? .exited(status >> 8 & 0xFF) : .killed(signal)
    }

    /// - Returns: the number of an error, or 0.
    private func start(_ child: inout pid_t, _ errors: inout Int32) -> Int32 {
        let variables = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        return Self.withPointers([program.path] + arguments) { arguments in
            Self.withPointers(variables) { variables in
                input.withUnsafeBytes {
                    texloom_spawn(program.path, arguments, variables, $0.baseAddress, $0.count, &child, &errors)
                }
            }
        }
    }

    private static func withPointers<Value>(
        _ texts: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Value
    ) -> Value {
        let copies = texts.map { strdup($0) } + [nil]
        defer { for copy in copies { free(copy) } }
        return copies.withUnsafeBufferPointer { body($0.baseAddress!) }
    }

    /// Reads what is there, and closes the descriptor at the end of the stream.
    private func read(_ errors: inout Int32, into tail: inout [UInt8]) {
        guard errors >= 0 else { return }
        var block = [UInt8](repeating: 0, count: Self.keptBytes)
        // A program may write faster than this reads: the caller has a time limit to keep.
        for _ in 0..<64 {
            let count = Glibc.read(errors, &block, block.count)
            guard count > 0 else {
                if count == 0 || errno != EAGAIN && errno != EINTR {
                    close(errors)
                    errors = -1
                }
                return
            }
            tail = Array((tail + block.prefix(count)).suffix(Self.keptBytes))
        }
    }

    private static func lastLine(of bytes: [UInt8]) -> String {
        let lines = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline)
        return lines.last { !$0.allSatisfy(\.isWhitespace) }.map(String.init) ?? ""
    }
}
