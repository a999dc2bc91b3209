import Foundation
import Testing

@testable import Coordinator

@Suite("Webhook signatures")
struct WebhookSignatureTests {
    private let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    private let folder = TemporaryFolder()

    private func file(_ text: String, mode: mode_t = 0o600) throws -> URL {
        let url = folder.url.appendingPathComponent("secret-\(UUID().uuidString.prefix(6))")
        try Data(text.utf8).write(to: url)
        chmod(url.path, mode)
        return url
    }

    private func problem(_ text: String, mode: mode_t = 0o600) throws -> String {
        do {
            _ = try WebhookSignature(file: try file(text, mode: mode))
            return "none"
        } catch let error as CoordinatorError {
            #expect(error.code == .badConfiguration)
            return error.message
        }
    }

    /// The values are the example of the reference libraries of Standard Webhooks; Python's hmac gives the same.
    @Test func aSignatureIsTheOneOfStandardWebhooks() throws {
        let signature = try WebhookSignature(file: try file(secret + "\n"))
        let header = signature.header(
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: 1_614_265_330, body: Data(#"{"test": 2432232314}"#.utf8))
        #expect(header == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
    }

    @Test func twoSecretsSignTwice() throws {
        let other = "whsec_" + Data(repeating: 7, count: 32).base64EncodedString()
        let both = try WebhookSignature(file: try file("\(secret)\n\n \(other) \n"))
        let parts = both.header(id: "a", timestamp: 1, body: Data()).split(separator: " ").map(String.init)
        let single = [secret, other].map {
            try? WebhookSignature($0, source: "x").header(id: "a", timestamp: 1, body: Data())
        }
        #expect(parts == single.compactMap(\.self) && parts.count == 2 && parts[0] != parts[1])
    }

    @Test func aFileWithoutASecretIsRefusedWithoutAPartOfIt() throws {
        for text in ["", "\n", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!!", "whsec_c2hvcnQ=", "\(secret)\nother"] {
            let problem = try problem(text)
            #expect(problem.contains("whsec_$(head -c 32 /dev/urandom | base64)"), "\(problem)")
            #expect(!problem.contains("MfKQ9r8") && !problem.contains("c2hvcnQ"))
        }
    }

    @Test func aFileThatOthersMayReadIsRefused() throws {
        #expect(try problem(secret, mode: 0o644).contains("chmod 600"))
        #expect(try problem(secret, mode: 0o660).contains("chmod 600"))
        #expect(try problem(secret, mode: 0o400) == "none")
        do {
            _ = try WebhookSignature(file: folder.url.appendingPathComponent("none"))
            Issue.record("it was read")
        } catch {
            #expect("\(error)".contains("none: No such file or directory"), "\(error)")
        }
    }
}
