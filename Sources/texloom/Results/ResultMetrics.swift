import Foundation
import OperatingSystem

/// metrics.jsonl and loss.svg of a result folder during a run.
///
/// Adding a row writes one line. The plot is drawn again whenever the rows have grown by a twentieth, so that all
/// drawings of a run together cost about twenty times the last one.
struct ResultMetrics {
    private let folder: ResultFolder
    /// The last iteration that has a row in the file; 0: none.
    private(set) var lastIteration = 0
    /// Bytes of whole rows; a row that a crash tore lies after them.
    private var sizeBytes = 0
    private var rows = 0
    private var drawnRows = 0
    /// Rows that could not be written so far.
    private var waiting: [ResultFolder.Row] = []

    /// Reads the existing file.
    init(of folder: ResultFolder) {
        self.folder = folder
        read(until: .max)
    }

    /// Training resumes from an iteration: cuts off the file's later rows and a torn one.
    /// - Throws: `CommandFailure` naming the file.
    mutating func resume(from iteration: Int) throws {
        read(until: iteration)
        guard FileManager.default.fileExists(atPath: folder.metrics.path) else { return }
        guard truncate(folder.metrics.path, off_t(sizeBytes)) == 0 else { throw failure() }
    }

    /// Adds rows to the file, and those that could not be written before. A failed write loses no row.
    /// - Throws: `CommandFailure` naming the file.
    mutating func add(_ new: [ResultFolder.Row]) throws {
        waiting += new
        guard let last = waiting.last else { return }
        try append(Data(waiting.map { $0.line + "\n" }.joined().utf8))
        lastIteration = last.iteration
        rows += waiting.count
        waiting = []
        if rows > drawnRows + drawnRows / 20 { try draw() }
    }

    /// Draws the plot of all rows.
    /// - Throws: `CommandFailure` naming the file.
    mutating func draw() throws {
        drawnRows = rows
        try folder.drawPlot(of: folder.readMetrics())
    }

    private mutating func read(until limit: Int) {
        (lastIteration, sizeBytes, rows) = (0, 0, 0)
        guard let data = try? Data(contentsOf: folder.metrics) else { return }
        var start = data.startIndex
        while let end = data[start...].firstIndex(of: UInt8(ascii: "\n")) {
            let line = String(decoding: data[start..<end], as: UTF8.self)
            guard let row = ResultFolder.Row(line: line[...]), row.iteration > lastIteration, row.iteration <= limit
            else { return }
            start = data.index(after: end)
            (lastIteration, sizeBytes) = (row.iteration, start - data.startIndex)
            rows += 1
        }
    }

    /// All or nothing.
    private mutating func append(_ bytes: Data) throws {
        let file = open(folder.metrics.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw failure() }
        defer { close(file) }
        guard ftruncate(file, off_t(sizeBytes)) == 0 else { throw failure() }
        var end = sizeBytes
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, off_t(end)) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let failure = failure()
                ftruncate(file, off_t(sizeBytes))
                throw failure
            }
            end += count
            rest = rest.dropFirst(count)
        }
        sizeBytes = end
    }

    private func failure() -> CommandFailure {
        CommandFailure("\(folder.metrics.path) cannot be written: \(reasonOfSystem(errno))")
    }
}
