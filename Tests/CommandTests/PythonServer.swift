import Foundation
import Glibc

/// An HTTP server in Python for one test, which prints its port first.
final class PythonServer {
    private let process = Process()
    let address: String

    init(_ script: String, _ arguments: String...) throws {
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", script] + arguments
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let port = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        address = "http://127.0.0.1:\(port.trimmingCharacters(in: .whitespacesAndNewlines))"
    }

    deinit { kill(process.processIdentifier, SIGKILL) }
}
