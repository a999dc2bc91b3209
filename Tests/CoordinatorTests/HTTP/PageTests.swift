import Base
import Foundation
import Testing

@testable import Coordinator

@Suite("Pages and ranges")
struct PageTests {
    @Test func controlCharactersDoNotReachAPage() {
        #expect(Readable.plain("a\u{7}b\u{0}\n\tc") == "a\u{FFFD}b\u{FFFD}\n\tc")
    }

    /// A name with one of them could show "evil.png" for a file that is called otherwise.
    @Test(arguments: [
        "\u{7F}", "\u{85}", "\u{9F}", "\u{61C}", "\u{200E}", "\u{200F}", "\u{202A}", "\u{202E}", "\u{2066}", "\u{2069}",
    ])
    func charactersThatChangeTheDirectionDoNotReachAPage(character: String) {
        #expect(Readable.plain("evil\(character)gnp.exe") == "evil\u{FFFD}gnp.exe")
        #expect(Readable.plain("صورة é ﷽ 石畳 \u{A0}\u{200D}\u{2028}") == "صورة é ﷽ 石畳 \u{A0}\u{200D}\u{2028}")
    }

    @Test(arguments: [
        ("bytes=0-9", ByteRange.part(0..<10)), ("bytes=90-", .part(90..<100)), ("bytes=-5", .part(95..<100)),
        ("bytes=-500", .part(0..<100)), ("bytes=50-500", .part(50..<100)), ("bytes=99-99", .part(99..<100)),
        ("bytes=100-", .unsatisfiable), ("bytes=-0", .unsatisfiable), ("bytes=5-2", .whole), ("lines=1-2", .whole),
        ("bytes=0-1,5-6", .whole), ("bytes=a-b", .whole), ("bytes=-", .whole), ("bytes=1--2", .whole),
        ("bytes=99999999999999999999-", .unsatisfiable), ("bytes=5-99999999999999999999", .part(5..<100)),
        ("Bytes=0-0", .part(0..<1)),
    ])
    func rangesAreReadAsTheStandardSays(header: String, expected: ByteRange) {
        #expect(ByteRange.parse(header, size: 100) == expected)
    }
}

@Suite("Configuration")
struct CoordinatorConfigurationTests {
    @Test func theDefaultsAreValidAndBindToThisMachineOnly() throws {
        let configuration = CoordinatorConfiguration(environment: ["XDG_STATE_HOME": "/state"])
        try configuration.validate()
        #expect(configuration.dataFolder.path == "/state/texloom/coordinator")
        #expect(configuration.httpHost == "127.0.0.1" && configuration.workerEndpoint == "tcp://127.0.0.1:7741")
    }

    @Test(arguments: ["0.0.0.0", "192.168.1.5", "::", "example.org", "127.evil.example.org"])
    func anAddressOthersCanReachNeedsAnExplicitWord(host: String) throws {
        var configuration = CoordinatorConfiguration()
        configuration.httpHost = host
        let error = #expect(throws: CoordinatorError.self) { try configuration.validate() }
        #expect(error?.message.contains(host) == true)
        #expect(error?.message.contains("--tls-certificate") == true)
        configuration.isInsecure = true
        try configuration.validate()
        #expect(!configuration.asksForTokens && configuration.insecurity?.contains(host) == true)
        configuration.requiresAuthentication = true
        #expect(throws: CoordinatorError.self, "tokens in plain text") { try configuration.validate() }
        configuration.isInsecure = false
        configuration.requiresAuthentication = false
        let pem = URL(fileURLWithPath: "/pem")
        configuration.tls = TLSFiles(certificate: pem, key: pem)
        try configuration.validate()
        #expect(configuration.asksForTokens && configuration.insecurity == nil)
        configuration = CoordinatorConfiguration()
        configuration.workerEndpoint = host.contains(":") ? "tcp://[\(host)]:7741" : "tcp://\(host):7741"
        // Workers elsewhere need a key, so this address needs no further word.
        try configuration.validate()
        #expect(configuration.encryptsWorkers && configuration.insecurity == nil)
        configuration.isInsecure = true
        try configuration.validate()
        #expect(!configuration.encryptsWorkers)
        #expect(configuration.insecurity?.contains(configuration.workerEndpoint) == true)
    }

    @Test func aNameThatPeopleElsewhereUseAsksForTokens() throws {
        var configuration = CoordinatorConfiguration()
        configuration.allowedHosts = ["localhost"]
        try configuration.validate()
        configuration.allowedHosts = ["loom.example"]
        let error = #expect(throws: CoordinatorError.self) { try configuration.validate() }
        #expect(error?.message.contains("--require-auth") == true)
        configuration.requiresAuthentication = true
        try configuration.validate()
    }

    @Test func aLeaseShorterThanTwoHeartbeatsIsRefused() {
        var configuration = CoordinatorConfiguration()
        configuration.lease = .seconds(9)
        #expect(throws: CoordinatorError.self) { try configuration.validate() }
    }
}
