import ClusterCore
import Testing

@Suite struct DurationTests {
    @Test func aDurationOfManyCenturiesHasSeconds() {
        #expect(Duration.seconds(1e6 * 86_400).inSeconds == 8.64e10)
        #expect(Duration.milliseconds(1500).inSeconds == 1.5)
    }
}
