import Testing

@testable import Coordinator

struct ExpositionTests {
    @Test func labelsAreEscapedAndNumbersAreWrittenAsPrometheusReadsThem() throws {
        var page = Exposition()
        page.gauge(
            "a", "back\\slash\nline \"quoted\"",
            [
                .init(labels: [("name", "x\\y\"z\nä"), ("other", "")], value: 0.1),
                .init(labels: [("name", "large")], value: 5e15),
                .init(labels: [("name", "infinite")], value: .infinity),
                .init(labels: [("name", "tiny")], value: 1e-9),
            ])
        #expect(
            page.text == """
                # HELP a back\\\\slash\\nline "quoted"
                # TYPE a gauge
                a{name="x\\\\y\\"z\\nä",other=""} 0.1
                a{name="large"} 5000000000000000
                a{name="infinite"} +Inf
                a{name="tiny"} 1e-09

                """)
        let read = try MetricsPage(parsing: page.text)
        #expect(read["a", ["name": "x\\y\"z\nä", "other": ""]] == 0.1)
        #expect(read["a", ["name": "tiny"]] == 1e-9)
    }

    @Test func aHistogramIsCumulativeAndABoundBelongsToItsBucket() throws {
        var histogram = Histogram([1, 2.5])
        for value in [0.5, 1, 1.5, 99] { histogram.record(value) }
        histogram.record(2, times: 10)
        var page = Exposition()
        page.histograms("h_seconds", "H.", by: "route", [("a", histogram), ("b", Histogram([1, 2.5]))])
        let read = try MetricsPage(parsing: page.text)
        func bucket(_ bound: String) -> Double? { read["h_seconds_bucket", ["route": "a", "le": bound]] }
        #expect(bucket("1") == 2 && bucket("2.5") == 13 && bucket("+Inf") == 14)
        #expect(read["h_seconds_sum", ["route": "a"]] == 122 && read["h_seconds_count", ["route": "a"]] == 14)
        #expect(read["h_seconds_count", ["route": "b"]] == 0)
    }

    private static let head = "# HELP a A.\n# TYPE a gauge\n"
    private static let histogram = "# HELP a A.\n# TYPE a histogram\n"

    @Test(arguments: [
        "a 1\n", head + "a 1", head + "b 1\n", head + "a one\n", head + "a 1\na 1\n", head + "a{b=\"\\x\"} 1\n",
        head + "a{b=\"1\",b=\"2\"} 1\n", head + "a{b=1} 1\n", head + "a{1b=\"\"} 1\n", head + "a 1\n" + head,
        "# HELP a A.\n# TYPE a counter\na 1\n", "# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n",
        "# HELP a_total A.\n# TYPE a_total counter\na_total -1\n", "# HELP a_ms A.\n# TYPE a_ms gauge\na_ms 1\n",
        histogram + "a_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 0\na_count 1\n",
        histogram + "a_bucket{le=\"1\"} 1\na_sum 0\na_count 1\n",
        histogram + "a_bucket{le=\"+Inf\"} 2\na_sum 0\na_count 1\n", histogram + "a_bucket{le=\"+Inf\"} 1\na_count 1\n",
    ])
    func theReaderOfTheTestsRefusesWhatPrometheusWould(text: String) {
        #expect(throws: MetricsPage.Malformed.self) { try MetricsPage(parsing: text) }
    }
}
