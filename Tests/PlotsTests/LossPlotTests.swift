import Testing

@testable import Plots

@Suite struct LossPlotTests {
    @Test func everyTermThatARunHasIsDrawn() {
        let rows: [(iteration: Int, values: [String: Float])] = (0..<3000).map { index in
            (index * 10, ["l1": 1 / Float(index + 1), "style": 0, "adversarial": 0.7])
        }
        let svg = LossPlot.svg(rows, title: "a <b> & c")
        #expect(svg.contains(">L1") && svg.contains(">adversarial") && !svg.contains(">style"))
        #expect(svg.contains("a &lt;b&gt; &amp; c") && !svg.contains("nan") && !svg.contains("inf"))
        #expect(svg.components(separatedBy: "<polyline").count == 5)
    }

    /// Every label of the scale is right-aligned.
    @Test(arguments: [0.7, -0.7, 1e-20, 1e20])
    func aConstantHasOneLabelInTheMiddle(value: Float) {
        let svg = LossPlot.svg((1...300).map { ($0, ["l1": value]) }, title: "x")
        #expect(svg.components(separatedBy: "text-anchor=\"end\"").count == 2)
        let heights = svg.matches(of: /[ "]\d+\.\d,(\d+\.\d)/).map(\.1)
        #expect(!heights.isEmpty && Set(heights).count == 1, "the line is straight")
    }

    @Test func aRunWithoutLossesSaysSo() {
        #expect(LossPlot.svg([], title: "x").contains("no losses yet"))
    }
}
