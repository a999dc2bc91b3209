import AsyncHTTPClient
import Foundation
import NIOSSL
import Testing

@testable import Coordinator

/// The coordinator's own TLS.
@Suite("TLS", .timeLimit(.minutes(10)))
struct TLSTests {
    private static func openssl(_ arguments: [String]) async throws -> String {
        let (openssl, output) = (Process(), Pipe())
        openssl.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        openssl.arguments = ["openssl"] + arguments
        openssl.standardInput = FileHandle.nullDevice
        openssl.standardOutput = output
        openssl.standardError = output
        try openssl.run()
        let reading = output.fileHandleForReading
        // On a thread of its own: the threads of tests are few, and the coordinator under test needs them.
        return await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(returning: String(decoding: reading.readDataToEndOfFile(), as: UTF8.self))
            }
        }
    }

    /// Old versions need the lowest level.
    private static let ciphers = "ALL:@SECLEVEL=0"

    @Test(
        .enabled("this openssl does not speak TLS 1.1") {
            try await openssl(["ciphers", "-s", "-tls1_1", ciphers]).contains("ECDHE-ECDSA-AES")
        })
    func aClientOfTLS11IsRefused() async throws {
        let coordinator = try await RunningCoordinator { $0.tls = try? $0.makeCertificate() }
        let address = try #require(coordinator.addresses.httpURL.split(separator: "/").last)
        func handshake(_ version: String) async throws -> String {
            try await Self.openssl(["s_client", version, "-cipher", Self.ciphers, "-connect", "\(address)"])
        }
        let old = try await handshake("-tls1_1")
        #expect(old.contains("alert protocol version"), "\(old)")
        let new = try await handshake("-tls1_2")
        #expect(new.contains("New, TLSv1.2"), "\(new)")
        await coordinator.stop()
    }

    @Test func receiversOfWebhooksSpeakTLS12OrNewer() {
        #expect(HTTPClient.tlsForWebhooks.minimumTLSVersion == .tlsv12)
    }

    @Test func theCookieIsSecure() async throws {
        let coordinator = try await RunningCoordinator {
            $0.requiresAuthentication = true
            $0.tls = try? $0.makeCertificate()
        }
        let form = "next=/&token=\(try await coordinator.token(.viewer))"
        let connection = try RawConnection(secure: coordinator.addresses.httpURL)
        await connection.send(
            "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                + "Content-Length: \(form.utf8.count)\r\n\r\n\(form)")
        let answer = try #require(await connection.next())
        #expect(answer.contains("HTTP/1.1 303"), "\(answer)")
        let cookie = try #require(answer.split(separator: "\r\n").first { $0.lowercased().hasPrefix("set-cookie:") })
        #expect(cookie.contains("; Secure"), "\(cookie)")
        await coordinator.stop()
    }
}

extension CoordinatorConfiguration {
    /// Makes a certificate in the data folder.
    fileprivate func makeCertificate() throws -> TLSFiles { try TLSFiles(madeIn: dataFolder) }
}
