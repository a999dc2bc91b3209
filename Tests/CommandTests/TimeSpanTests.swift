import Testing

@testable import texloom

struct TimeSpanTests {
    @Test func aTimeSpanIsANumberWithAUnit() {
        #expect(Duration(timeSpan: "90s") == .seconds(90))
        #expect(Duration(timeSpan: "30m") == .seconds(1800))
        #expect(Duration(timeSpan: "2h") == .seconds(7200))
        #expect(Duration(timeSpan: "1d") == .seconds(86_400))
    }

    @Test(arguments: ["", "s", "90", "0s", "-1m", "1.5h", "2 h", "1w", "٣m", "3651d", "9223372036854775807d"])
    func everythingElseIsRefused(_ text: String) { #expect(Duration(timeSpan: text) == nil) }
}
