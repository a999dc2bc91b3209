import Foundation
import OperatingSystem

/// Keeps a second worker out of a data folder, whose attempts it would remove and whose id it would take. Held as long
/// as it lives; the system gives it back when the process ends, however it ends.
final class FolderLock: Sendable {
    private let descriptor: Int32

    /// - Throws: ``WorkerError`` if the folder cannot be used, or is in use.
    init(_ folder: URL) throws(WorkerError) {
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        } catch {
            throw WorkerError("cannot use the data folder \(folder.path): \(error.systemReason)")
        }
        let file = folder.appendingPathComponent("worker.lock").path
        descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw WorkerError("cannot open \(file): \(String(cString: strerror(errno)))") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            // Its descriptor is closed by deinit, which runs after a throw once all properties are set.
            throw WorkerError("another worker is using \(folder.path); give this one a folder of its own with --data")
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }
}
