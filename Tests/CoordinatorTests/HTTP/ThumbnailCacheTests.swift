import Foundation
import Testing

@testable import ClusterCore
@testable import Coordinator

@Suite("Thumbnails")
struct ThumbnailCacheTests {
    @Test func aPictureIsKeptOnlyInSpaceThatTheDatabaseDoesNotNeed() async throws {
        let folder = TemporaryFolder()
        let photograph = try ArtifactStore(dataFolder: folder.url).store(TestImages.png).sha256
        let thumbnails = DataFolder.thumbnails(in: folder.url)
        let available = [ArtifactStore.reservedBytes, ArtifactStore.reservedBytes + (1 << 20)]
        var kept: [[String]] = []
        for bytes in available {
            let store = try ArtifactStore(dataFolder: folder.url, availableBytes: { _ in bytes })
            let cache = try ThumbnailCache(
                folder: thumbnails, store: store, disk: BlockingWork(), pictures: Pictures())
            #expect(try await cache.png(of: photograph).starts(with: [0x89, 0x50, 0x4E, 0x47]))
            try kept.append(FileManager.default.contentsOfDirectory(atPath: thumbnails.path))
        }
        #expect(kept == [[], ["\(photograph).png"]])
    }

    @Test func aPictureThatIsNotWholeIsMadeAgain() async throws {
        let folder = TemporaryFolder()
        let store = try ArtifactStore(dataFolder: folder.url, availableBytes: { _ in 1 << 50 })
        let photograph = try store.store(TestImages.png).sha256
        let thumbnails = DataFolder.thumbnails(in: folder.url)
        let cache = try ThumbnailCache(folder: thumbnails, store: store, disk: BlockingWork(), pictures: Pictures())
        let whole = try await cache.png(of: photograph)
        let file = thumbnails.appendingPathComponent("\(photograph).png")
        #expect(try Data(contentsOf: file) == whole)
        for damaged in [Data(), whole.dropLast(), Data(count: whole.count), whole.dropFirst()] {
            try Data(damaged).write(to: file)
            #expect(try await cache.png(of: photograph) == whole)
            #expect(try Data(contentsOf: file) == whole)
        }
        // A whole one is not made again.
        let other = whole.prefix(8) + Data("another picture".utf8) + whole.suffix(12)
        try other.write(to: file)
        #expect(try await cache.png(of: photograph) == other)
    }
}
