import Foundation
import Testing

@testable import Coordinator

extension TemporaryFolder {
    /// Makes a certificate for localhost that signs itself.
    func makeCertificate() throws -> TLSFiles {
        let files = TLSFiles(
            certificate: url.appendingPathComponent("server.pem"), key: url.appendingPathComponent("server.key"))
        let openssl = Process()
        openssl.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        openssl.arguments = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout",
            files.key.path, "-out", files.certificate.path,
        ]
        openssl.standardError = FileHandle.nullDevice
        try openssl.run()
        openssl.waitUntilExit()
        try #require(openssl.terminationStatus == 0)
        return files
    }
}
