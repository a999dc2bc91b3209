import Foundation
import OperatingSystem

/// A TensorBoard event file that grows with a training, across restarts. It reads back from itself what it already has.
///
/// Nothing is synced: the data also exists elsewhere, and after a crash a torn tail is cut off and written again. No file
/// stays open between two calls. One writer.
public struct EventFile: Sendable {
    /// Its name in a run's folder. TensorBoard looks for "tfevents"; one file a run needs no time or host in it.
    public static let name = "events.out.tfevents.texloom"

    public let url: URL
    /// The last step with valid scalars; -1: none.
    public private(set) var lastStep = -1
    /// The steps with a valid picture.
    public private(set) var pictures: Set<Int> = []
    /// The note of the last start.
    public private(set) var note: String?
    private var sizeBytes = 0

    /// Reads the existing file; if it is missing, the first `append` makes it.
    /// - Throws: `.fileSystem`.
    public init(goingOnWith url: URL) throws(EventFileError) {
        self.url = url
        guard FileManager.default.fileExists(atPath: url.path) else { return }
        guard let handle = FileHandle(forUpdatingAtPath: url.path) else { throw Self.failure("open", url) }
        defer { try? handle.close() }
        do {
            while let message = try RecordFraming.next(in: handle) {
                count(EventOutline(message))
                sizeBytes = Int(try handle.offset())
            }
            if try handle.seekToEnd() > sizeBytes { try handle.truncate(atOffset: UInt64(sizeBytes)) }
        } catch {
            throw EventFileError(
                .fileSystem,
                "\(url.path) cannot be continued: \(error.systemReason); remove it, and texloom writes it again")
        }
    }

    /// Whether the file still has the length that this writer left.
    public var isAsLeft: Bool {
        var status = stat()
        return (stat(url.path, &status) == 0 ? Int(status.st_size) : 0) == sizeBytes
    }

    /// Appends events, all or none.
    /// - Throws: `.noSpace`, `.fileSystem`, `.changed`.
    public mutating func append(_ events: [Event]) throws(EventFileError) {
        guard let first = events.first else { return }
        var bytes = sizeBytes == 0 ? RecordFraming.frame(Event.version(wallTime: first.wallTime)) : Data()
        for event in events { bytes += RecordFraming.frame(event.encoded) }
        try write(bytes)
        sizeBytes += bytes.count
        for event in events { count(EventOutline(event)) }
    }

    private func write(_ bytes: Data) throws(EventFileError) {
        if sizeBytes == 0 {
            // If this fails, opening the file fails as well and gives the reason.
            try? FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        }
        let file = open(url.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw Self.failure("open", url) }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw Self.failure("open", url) }
        guard Int(status.st_size) == sizeBytes else {
            throw EventFileError(
                .changed,
                "\(url.path) has \(status.st_size) bytes, expected \(sizeBytes): another process writes to it; "
                    + "leave it to one")
        }
        if let number = writeAll(bytes, into: file) {
            // A reader would report half a record as damage until a whole one replaced it.
            ftruncate(file, off_t(sizeBytes))
            throw Self.failure("write", url, number)
        }
    }

    /// Notes an event that the file now has.
    private mutating func count(_ event: EventOutline) {
        if let start = event.start {
            note = start
            lastStep = min(lastStep, event.step - 1)
            pictures = pictures.filter { $0 < event.step }
        }
        if event.hasScalars { lastStep = max(lastStep, event.step) }
        if event.hasImage { pictures.insert(event.step) }
    }

    private static func failure(_ operation: String, _ file: URL, _ number: Int32 = errno) -> EventFileError {
        let failure = FileFailure(operation, file, number: number)
        return failure.isFull
            ? EventFileError(.noSpace, "\(failure); free some space") : EventFileError(.fileSystem, "\(failure)")
    }
}

extension EventOutline {
    fileprivate init(_ event: Event) {
        step = event.step
        switch event.content {
        case .start(let note): start = note
        case .scalars(let values): hasScalars = !values.isEmpty
        case .image: hasImage = true
        }
    }
}
