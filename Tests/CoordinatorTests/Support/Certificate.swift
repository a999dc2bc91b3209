import Foundation
import Testing

@testable import Coordinator

extension TLSFiles {
    /// Makes a certificate for localhost that signs itself.
    init(madeIn folder: URL) throws {
        self.init(
            certificate: folder.appendingPathComponent("server.pem"), key: folder.appendingPathComponent("server.key"))
        let openssl = Process()
        openssl.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        openssl.arguments = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout",
            key.path, "-out", certificate.path,
        ]
        openssl.standardError = FileHandle.nullDevice
        try openssl.run()
        openssl.waitUntilExit()
        try #require(openssl.terminationStatus == 0)
    }
}
