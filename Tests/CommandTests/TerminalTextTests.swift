import Foundation
import Protocol
import Testing

@testable import texloom

@Suite struct TerminalTextTests {
    @Test func widthsAreThoseOfTheTerminal() {
        #expect("abc".columns == 3 && "".columns == 0)
        #expect("織機".columns == 4, "wide characters take two columns")
        #expect("e\u{301}u\u{308}".columns == 2, "combining marks take none")
        #expect("🧵".columns == 2 && "👩‍🔬".columns == 2 && "❤\u{FE0F}".columns == 2 && "❤".columns == 1)
        #expect("▁█░…".columns == 4)
    }

    @Test func whatIsCutFitsAndSaysSo() {
        #expect("texture".fitted(to: 7) == "texture" && "texture".fitted(to: 4) == "tex…")
        #expect("織機織機".fitted(to: 4) == "織…", "half a character cannot be shown")
        #expect("e\u{301}e\u{301}e\u{301}".fitted(to: 2) == "e\u{301}…")
        #expect("abc".fitted(to: 0) == "")
        for text in ["plain words", "織機 loom 織機", "a👩‍🔬b👩‍🔬c"] {
            for width in 0..<16 { #expect(text.fitted(to: width).columns <= width) }
        }
    }

    @Test func stylesAreNeitherCountedNorCut() {
        let text = StyledText("red", .red) + " and " + StyledText("green", .green)
        #expect(text.width == 13)
        #expect(text.fitted(to: 6).text(paints: true) == "\u{1B}[31mred\u{1B}[0m a…")
        #expect(text.fitted(to: 13) == text && text.text(paints: false) == "red and green")
        #expect(StyledText("7").padded(to: 3, left: true).text(paints: false) == "  7")
    }

    @Test func sparklinesRiseWithTheirValues() {
        #expect(Sparkline.text([0, 1, 2, 3, 4, 5, 6, 7], width: 8, unicode: true) == "▁▂▃▄▅▆▇█")
        #expect(Sparkline.text([6, 3, 0], width: 20, unicode: false) == "#=_", "fewer values are not stretched")
        #expect(Sparkline.text([1, 1, 5, 5, 9, 9], width: 3, unicode: true) == "▁▅█", "more are averaged")
        // 1, 10, 100, 1000 have evenly spaced logarithms.
        #expect(Sparkline.text([1, 10, 100, 1000], width: 4, unicode: true) == "▁▃▆█")
    }

    @Test(
        arguments: [
            ([], ""), ([Double.nan, .nan], "  "), ([0, 0, 0], "▅▅▅"), ([3], "▅"), ([1, .nan, 2], "▁ █"),
            ([1, .infinity, 2], "▁ █"), ([-.greatestFiniteMagnitude, .greatestFiniteMagnitude], "▁█"),
            ([-1, 0, 1000], "▁▁█"),
        ] as [([Double], String)])
    func sparklinesBearWhatRunsProduce(values: [Double], expected: String) {
        #expect(Sparkline.text(values, width: 10, unicode: true) == expected)
    }

    @Test func sparklinesHaveTheWidthAskedFor() {
        let values = (0..<1000).map { 1 + sin(Double($0) / 50) }
        for width in [0, 1, 7, 20, 80, 200] {
            #expect(Sparkline.text(values, width: width, unicode: true).count == width)
        }
    }

    @Test func barsAreFullAtTheEndOnly() {
        #expect(progressBar(0.5, width: 4) == "██░░" && progressBar(1, width: 3) == "███")
        #expect(progressBar(-1, width: 3, unicode: false) == "..." && progressBar(7, width: 3, unicode: false) == "###")
        #expect(progressBar(.nan, width: 3) == "░░░")
        #expect(progressBar(0.99, width: 10) == "█████████░" && progressBar(0.3, width: 10) == "███░░░░░░░")
        #expect(percent(0.999) == " 99%" && percent(1) == "100%" && percent(.nan) == "")
        #expect(percent(29.0 / 100) == " 29%")
    }

    @Test func aHistoryKeepsTheWholeRunInBoundedMemory() {
        var history = LossHistory()
        for iteration in stride(from: 20, through: 100_000, by: 20) {
            history.add(iteration: iteration, ["l1": Float(iteration), "style": iteration < 50_000 ? 4 : 2])
        }
        history.add(iteration: 100_000, ["late": 1, "broken": .nan])
        let values = history.values("l1")
        #expect(values.count > LossHistory.maxStretches / 4 && values.count <= LossHistory.maxStretches)
        #expect(values == values.sorted() && values.first! < 500 && values.last! > 99_000)
        #expect(history.values("style").first == 4 && history.values("style").last == 2)
        #expect(history.values("late") == [1] && history.names == ["l1", "style", "late"])
    }

    @Test func tablesAreAlignedAndDropWhatMattersLeast() {
        let table = TextTable(
            columns: [
                TextTable.Column(title: "NAME"), TextTable.Column(title: "EMPTY"),
                TextTable.Column(title: "SPEED", importance: 2, alignsRight: true),
                TextTable.Column(title: "ID", importance: 1), TextTable.Column(title: "STATE"),
            ],
            rows: [["織機", "", "7", "a", "running"], ["wood", "", "12.5", "bc", "held"]])
        func text(_ width: Int?) -> [String] { table.lines(width: width).map { $0.text(paints: false) } }
        #expect(text(nil) == ["NAME  SPEED  ID  STATE", "織機      7  a   running", "wood   12.5  bc  held"])
        #expect(text(22) == ["NAME  SPEED  STATE", "織機      7  running", "wood   12.5  held"])
        #expect(text(14) == ["NAME  STATE", "織機  running", "wood  held"])
        #expect(text(8) == ["NAME  S…", "織機  r…", "wood  h…"])
    }

    @Test func featuresFollowTheEnvironment() {
        func features(_ environment: [String: String], isTerminal: Bool = true) -> TerminalFeatures {
            TerminalFeatures(isTerminal: isTerminal, environment: environment)
        }
        #expect(features(["TERM": "xterm"]).hasColours && !features(["TERM": "dumb"]).hasColours)
        #expect(features(["TERM": "xterm", "NO_COLOR": "1"]).canDraw && !features(["TERM": "dumb"]).canDraw)
        #expect(!features([:]).canDraw && !features(["TERM": "xterm"], isTerminal: false).canDraw)
        #expect(!features(["TERM": "xterm", "NO_COLOR": "1"]).hasColours)
        #expect(features(["TERM": "xterm", "NO_COLOR": ""]).hasColours)
        #expect(!features(["TERM": "xterm"], isTerminal: false).hasColours)
        #expect(features(["LANG": "C.UTF-8"]).isUnicode && !features(["LANG": "C.UTF-8", "LC_ALL": "C"]).isUnicode)
        #expect(!features([:]).isUnicode && features(["LC_CTYPE": "de_DE.utf8"]).isUnicode)
    }
}
