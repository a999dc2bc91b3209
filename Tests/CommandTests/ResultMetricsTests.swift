import Foundation
import Testing

@testable import texloom

@Suite struct ResultMetricsTests {
    private let scratch: ScratchFolder
    private let folder: ResultFolder

    init() throws {
        scratch = try ScratchFolder()
        folder = try ResultFolder(in: scratch.url, name: "moss")
    }

    private func rows(_ iterations: ClosedRange<Int>) -> [ResultFolder.Row] {
        iterations.map { ResultFolder.Row(iteration: $0, unixSeconds: 1, ["l1"], [1 / Float($0)]) }
    }

    private func inode(_ url: URL) -> UInt64 {
        var status = stat()
        return stat(url.path, &status) == 0 ? UInt64(status.st_ino) : 0
    }

    /// The modification time of a file, in nanoseconds.
    private func time(_ url: URL) -> Int {
        var status = stat()
        return stat(url.path, &status) == 0 ? status.st_mtim.tv_sec * 1_000_000_000 + status.st_mtim.tv_nsec : 0
    }

    private func iterations() -> [Int] { folder.readMetrics().map(\.iteration) }

    @Test func rowsAreAppendedAndThePlotIsDrawnNowAndThen() throws {
        var metrics = ResultMetrics(of: folder)
        try metrics.resume(from: 0)
        try metrics.add(rows(1...1000))
        let file = inode(folder.metrics)
        // Does not read the existing file again, let alone write it.
        let handle = try FileHandle(forWritingTo: folder.metrics)
        try handle.write(contentsOf: Data("#".utf8))
        try handle.close()
        var drawings: Set<Int> = []
        for iteration in 1001...1200 {
            try metrics.add(rows(iteration...iteration))
            drawings.insert(time(folder.lossPlot))
        }
        #expect(inode(folder.metrics) == file && iterations() == Array(2...1200))
        #expect((2...5).contains(drawings.count), "\(drawings.count) drawings for a fifth more of rows")
        // The plot at the end shows everything.
        try metrics.draw()
        #expect(try String(contentsOf: folder.lossPlot, encoding: .utf8).contains("last 0.0008333"))
    }

    @Test func trainingGoesOnWithTheRowsUpToItsCheckpoint() throws {
        var metrics = ResultMetrics(of: folder)
        try metrics.resume(from: 0)
        try metrics.add(rows(1...9))
        let whole = try Data(contentsOf: folder.metrics)
        // Torn by a crash: in the middle of a row, or with zeros that the disk put there.
        for tail in ["{\"iteration\":10,\"unix", "\0\0\0\n{\"iteration\":12,\"unix_seconds\":1}\n"] {
            try (whole + Data(tail.utf8)).write(to: folder.metrics)
            var again = ResultMetrics(of: folder)
            #expect(again.lastIteration == 9)
            try again.resume(from: 6)
            #expect(again.lastIteration == 6 && iterations() == Array(1...6))
            try again.add(rows(7...8))
            #expect(iterations() == Array(1...8))
        }
        var fresh = ResultMetrics(of: folder)
        try fresh.resume(from: 0)
        #expect(try Data(contentsOf: folder.metrics).isEmpty)
    }

    @Test func rowsThatTheDiskDoesNotTakeAreWrittenWithTheNext() throws {
        var metrics = ResultMetrics(of: folder)
        try metrics.add(rows(1...2))
        try FileManager.default.moveItem(at: folder.url, to: scratch.url.appendingPathComponent("away"))
        #expect(throws: CommandFailure.self) { try metrics.add(rows(3...4)) }
        try FileManager.default.moveItem(at: scratch.url.appendingPathComponent("away"), to: folder.url)
        try metrics.add(rows(5...5))
        #expect(iterations() == Array(1...5))
    }
}
