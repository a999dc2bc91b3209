import Foundation
import Testing

@testable import texloom

@Suite struct ProxyTests {
    private func chosen(_ target: String, _ environment: [String: String]) throws -> String? {
        try Proxy.chosen(for: try #require(URL(string: target)), environment: environment)
            .map { "\($0.source) \($0.address)" }
    }

    @Test func aProxyIsForOtherMachinesUnlessItIsAskedForByName() throws {
        let usual = [
            "http_proxy": "http://user:secret@proxy:3128", "https_proxy": "proxy:3129", "HTTP_PROXY": "http://x",
        ]
        for loopback in [
            "http://127.0.0.1:7740", "http://127.8.9.1", "http://localhost:7740", "http://LOCALHOST",
            "http://[::1]:7740",
            "http://loom.localhost", "https://localhost", "http://0.0.0.0:7740",
        ] {
            #expect(try chosen(loopback, usual) == nil, "\(loopback)")
            #expect(try chosen(loopback, ["TEXLOOM_PROXY": "http://proxy:1"]) == "TEXLOOM_PROXY http://proxy:1")
        }
        #expect(try chosen("http://loom:7740", usual) == "http_proxy http://proxy:3128", "without the password")
        #expect(try chosen("https://loom", usual) == "https_proxy http://proxy:3129")
        #expect(try chosen("http://loom", ["HTTP_PROXY": "http://x"]) == nil, "in capitals it is a header in CGI")
        #expect(try chosen("http://loom", ["all_proxy": "socks5://p"]) == "all_proxy socks5://p")
        #expect(try chosen("http://loom", ["http_proxy": ""]) == nil)
        #expect(throws: CommandFailure.self) { try chosen("http://loom", ["http_proxy": "ftp://p"]) }
    }

    @Test(arguments: [
        ("loom.example", true), ("example", true), (".example", true), ("*.example", true), ("*", true),
        ("other, loom.example", true), ("loom.example:7740", true), ("loom.example:80", false), ("oom.example", false),
        ("", false), ("10.0.0.0/8", false),
    ])
    func hostsAreExcepted(list: String, isExcepted: Bool) {
        #expect(Proxy.isExcepted("loom.example", 7740, by: list) == isExcepted)
    }

    @Test(arguments: [
        ("10.1.2.3", "10.0.0.0/8", true), ("11.1.2.3", "10.0.0.0/8", false), ("10.1.2.3", "10.1.2.3", true),
        ("fd00::7", "fd00::/8", true), ("fd00::7", "[fd00::7]", true), ("10.1.2.3", "0.0.0.0/0", true),
        ("10.1.2.3", "10.1.2.2/31", true), ("10.1.2.3", "10.1.2.4/31", false),
    ])
    func networksAreExcepted(host: String, list: String, isExcepted: Bool) {
        #expect(Proxy.isExcepted(host, 7740, by: list) == isExcepted)
    }

    @Test func aCoordinatorHereIsReachedAndAProxyOnTheWayIsNamed() throws {
        let cluster = try TinyCluster()
        // No server listens on port 9.
        let dead = "http://127.0.0.1:9"
        #expect(try cluster.run(["list"], environment: ["http_proxy": dead, "all_proxy": dead]).status == 0)
        let asked = try cluster.run(["list"], environment: ["TEXLOOM_PROXY": dead])
        #expect(asked.status == 75 && asked.errors.contains("through the proxy \(dead) (TEXLOOM_PROXY)"))
        let away = try cluster.run(
            ["list", "--api", "http://loom.invalid:7740"], environment: ["http_proxy": dead, "no_proxy": ""])
        #expect(away.status == 75 && away.errors.contains("through the proxy \(dead) (http_proxy)"), "\(away.errors)")
        #expect(away.errors.contains("Connection refused") && away.errors.contains("no_proxy=loom.invalid"))
    }
}
