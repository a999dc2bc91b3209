import Foundation
import OperatingSystem

/// A TensorBoard event file that is written bit by bit, over restarts: what it has is read from itself.
///
/// Nothing is synced: everything in it is kept elsewhere, and a tail that a crash tore is cut off and written anew. No
/// file stays open between two calls. One writer.
public struct EventFile: Sendable {
    /// Its name in a run's folder. TensorBoard looks for "tfevents"; one file a run needs no time or host in it.
    public static let name = "events.out.tfevents.texloom"

    public let url: URL
    /// The last step with scalars that counts; -1: none.
    public private(set) var lastStep = -1
    /// The steps with a picture that count.
    public private(set) var pictures: Set<Int> = []
    /// What the last start said.
    public private(set) var note: String?
    private var sizeBytes = 0

    /// Reads what there is; a file that is missing is made by the first `append`.
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
                "\(url.path) cannot be continued: \(error.systemReason); remove it, and it is "
                    + "made anew")
        }
    }

    /// Whether the file is still as long as it was left here.
    public var isAsLeft: Bool {
        var status = stat()
        return (stat(url.path, &status) == 0 ? Int(status.st_size) : 0) == sizeBytes
    }

    /// Adds events to the end, all or none.
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
            // If this fails, so does opening the file, which says why.
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
                "\(url.path) has \(status.st_size) bytes and was left with \(sizeBytes); it is to have one writer")
        }
        if let number = writeAll(bytes, into: file) {
            // A reader would take half a record for damage until the next whole one replaced it.
            ftruncate(file, off_t(sizeBytes))
            throw Self.failure("write", url, number)
        }
    }

    /// Takes note of an event that the file has.
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
