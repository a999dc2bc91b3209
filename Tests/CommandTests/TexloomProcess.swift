import Foundation
import Synchronization
import TextureGAN

/// The built program, started as users start it.
final class TexloomProcess: Sendable {
    struct Result {
        let status: Int32
        let output: String
        let errors: String
        /// Whether a signal ended the process. The status is then the signal's number.
        let wasKilled: Bool
    }

    /// The program is in the folder where this test run was built.
    static let executable = URL(fileURLWithPath: CommandLine.arguments[0])
        .deletingLastPathComponent().appendingPathComponent("texloom")

    /// What tests' processes inherit: no setting, home folder or proxy of the person who runs the tests, but the installed
    /// weights.
    static func environment(home: URL) -> [String: String] {
        var inherited = ProcessInfo.processInfo.environment.filter { name, _ in
            name == "TEXLOOM_ISA"
                || !["TEXLOOM_", "XDG_"].contains { name.hasPrefix($0) } && !name.lowercased().hasSuffix("_proxy")
        }
        inherited["HOME"] = home.path
        inherited["TEXLOOM_WEIGHTS_DIR"] = FeatureWeights.folder.path
        return inherited
    }

    private let process = Process()
    private let outputFile: URL
    private let errorFile: URL

    /// Starts `texloom ARGUMENTS`. The output goes to files in `folder`, which is also its home folder.
    /// - Parameters:
    ///   - launcher: A command that executes the program, such as `env`.
    ///   - input: What the program reads.
    init(
        _ arguments: [String], folder: URL, environment: [String: String] = [:], launcher: [String] = [],
        input: FileHandle = .nullDevice
    ) throws {
        let id = UUID().uuidString.prefix(8)
        outputFile = folder.appendingPathComponent("\(arguments[0])-\(id).out")
        errorFile = folder.appendingPathComponent("\(arguments[0])-\(id).err")
        for file in [outputFile, errorFile] { try Data().write(to: file) }
        let words = launcher + [Self.executable.path] + arguments
        process.executableURL = URL(fileURLWithPath: words[0])
        process.arguments = Array(words.dropFirst())
        process.environment = Self.environment(home: folder).merging(environment) { $1 }
        process.standardOutput = try FileHandle(forWritingTo: outputFile)
        process.standardError = try FileHandle(forWritingTo: errorFile)
        process.standardInput = input
        try process.run()
    }

    var isRunning: Bool { process.isRunning }
    var id: Int32 { process.processIdentifier }
    var output: String { (try? String(contentsOf: outputFile, encoding: .utf8)) ?? "" }
    var outputBytes: Data { get throws { try Data(contentsOf: outputFile) } }
    var errors: String { (try? String(contentsOf: errorFile, encoding: .utf8)) ?? "" }

    /// CPU time so far, including the kernel's.
    var processorSeconds: Double {
        get throws {
            let text = try String(contentsOfFile: "/proc/\(id)/stat", encoding: .utf8)
            // The name is in brackets and may contain anything. The 12th and 13th fields after it are ticks.
            let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
            let ticks = fields[12...13].compactMap { Double($0) }.reduce(0, +)
            return ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
        }
    }

    func send(_ signal: Int32) {
        // The number of an ended process may belong to another one.
        if process.isRunning { kill(process.processIdentifier, signal) }
    }

    @discardableResult
    func wait() -> Result {
        process.waitUntilExit()
        return Result(
            status: process.terminationStatus, output: output, errors: errors,
            wasKilled: process.terminationReason == .uncaughtSignal)
    }

    func killAndWait() {
        send(SIGKILL)
        process.waitUntilExit()
    }

    static func run(_ arguments: [String], folder: URL, environment: [String: String] = [:]) throws -> Result {
        try TexloomProcess(arguments, folder: folder, environment: environment).wait()
    }
}

/// A terminal with the keyboard of the person before it.
final class Terminal {
    /// What a program reads.
    let input: FileHandle
    private let keyboard: FileHandle

    init() throws {
        var (keyboard, input) = (Int32(-1), Int32(-1))
        guard openpty(&keyboard, &input, nil, nil, nil) == 0 else { throw Unmet(what: "a terminal") }
        self.keyboard = FileHandle(fileDescriptor: keyboard, closeOnDealloc: true)
        self.input = FileHandle(fileDescriptor: input, closeOnDealloc: true)
    }

    func enter(_ line: String) throws { try keyboard.write(contentsOf: Data("\(line)\n".utf8)) }
}

/// Waits for a condition. The time limit only keeps a broken test from hanging.
func eventually(
    within seconds: Double = 300, _ what: String, _ condition: () throws -> Bool
) throws {
    let deadline = Date().addingTimeInterval(seconds)
    while try !condition() {
        if Date() > deadline { throw Unmet(what: what) }
        Thread.sleep(forTimeInterval: 0.05)
    }
}

/// Waits for a condition while the process runs only for moments: however slow this machine is, it has not come much
/// further when the test notices. The process is stopped then (SIGSTOP).
func eventually(_ what: String, stopping process: TexloomProcess, _ condition: () throws -> Bool) throws {
    try eventually(what) {
        process.send(SIGCONT)
        Thread.sleep(forTimeInterval: 0.1)
        process.send(SIGSTOP)
        return try condition()
    }
}

struct Unmet: Error, CustomStringConvertible {
    let what: String
    var description: String { "it never came to this: \(what)" }
}

/// A folder that is removed after the test.
final class ScratchFolder {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appendingPathComponent("texloom-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    func path(_ name: String) -> String { url.appendingPathComponent(name).path }
}
