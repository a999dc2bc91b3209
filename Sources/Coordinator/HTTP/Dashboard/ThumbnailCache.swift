import Foundation
import OperatingSystem

/// Small pictures of snapshots and exemplars. The cache makes each once and keeps it in the data folder.
actor ThumbnailCache {
    /// Pixels of the longer side: sharp at the pages' 96 points on dense screens.
    static let side = 192

    private static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
    /// The chunk IEND.
    private static let end: [UInt8] = [0, 0, 0, 0, 0x49, 0x45, 0x4E, 0x44, 0xAE, 0x42, 0x60, 0x82]

    private let folder: URL
    private let store: ArtifactStore
    private let disk: BlockingWork
    private let pictures: Pictures
    /// At most one decode per picture at a time, however many browsers ask for it.
    private var underWay: [String: Task<Data, any Error>] = [:]

    init(folder: URL, store: ArtifactStore, disk: BlockingWork, pictures: Pictures) throws {
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        } catch {
            throw CoordinatorError(
                .fileSystem, "the thumbnail folder \(folder.path) cannot be created: \(error.systemReason)")
        }
        self.folder = folder
        self.store = store
        self.disk = disk
        self.pictures = pictures
    }

    /// - Throws: `.notStored`, `.badExemplar`.
    func png(of sha256: String) async throws -> Data {
        if let task = underWay[sha256] { return try await task.value }
        let file = folder.appendingPathComponent("\(sha256).png")
        let task = Task { [store, disk, pictures] in
            if let cached = try await disk.run(.chunks, { Self.picture(in: file) }) { return cached }
            return try await disk.run(.pictures) {
                let png = try pictures.thumbnail(of: store.file(of: sha256), side: Self.side)
                // A picture that is not kept only costs time.
                guard png.count <= store.freeBytes else { return png }
                try? png.write(to: file, options: .atomic)
                // The artifact may have gone meanwhile. Its removal looks for the picture after that.
                if case .some(.none) = try? store.size(of: sha256) { unlink(file.path) }
                return png
            }
        }
        underWay[sha256] = task
        defer { underWay[sha256] = nil }
        return try await task.value
    }

    /// nil without a whole PNG: pictures are not synced to the disk, so a power cut may leave an empty one.
    private static func picture(in file: URL) -> Data? {
        guard let data = try? Data(contentsOf: file), data.starts(with: signature), data.suffix(end.count) == Data(end)
        else { return nil }
        return data
    }
}
