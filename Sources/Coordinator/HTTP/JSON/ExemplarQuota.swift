import Base
import Foundation
import Hummingbird

/// Limits the bytes of exemplars that no job uses yet: anyone may upload, and the disk is everybody's.
actor ExemplarQuota {
    static let bytesPerCaller = 256 << 20
    static let bytes = 1 << 30
    /// Unused exemplars may take this share of the free space at most, so that a small disk does not fill up.
    static let shareOfFree = 0.25
    /// A small file costs more than its bytes.
    static let leastBytes = 64 << 10

    private struct Upload {
        var caller: String
        var bytes: Int
    }

    private let store: JobStore
    private let artifacts: ArtifactStore
    private let disk: BlockingWork
    private let perCaller: Int
    private let all: Int
    private var unused: [String: Upload] = [:]
    /// Bytes by caller, of unused exemplars and of uploads that are arriving.
    private var held: [String: Int] = [:]
    private var sum = 0
    /// The search for what earlier processes left. All uploads wait for it.
    private var search: Task<Void, any Error>?

    init(
        store: JobStore, artifacts: ArtifactStore, disk: BlockingWork, perCaller: Int = bytesPerCaller,
        all: Int = bytes
    ) {
        self.store = store
        self.artifacts = artifacts
        self.disk = disk
        self.perCaller = perCaller
        self.all = all
    }

    /// Reserves space for bytes that are about to be written.
    /// - Throws: `Problem`: 429 for the caller's own share, 507 for all callers'.
    func take(_ bytes: Int, for caller: String) async throws {
        try await look()
        let free = try await disk.run(.chunks) { [artifacts] in artifacts.freeBytes }
        if problem(bytes, caller, free: free) != nil {
            // Jobs may have been submitted since.
            try await forgetUsed()
            if let problem = problem(bytes, caller, free: free) { throw problem }
        }
        // At once after the last look, so that uploads that begin together do not all find the same space.
        hold(bytes, of: caller)
    }

    /// Why there is no space for the bytes; nil if there is.
    /// - Parameter free: bytes on the disk.
    private func problem(_ bytes: Int, _ caller: String, free: Int) -> Problem? {
        guard held[caller, default: 0] + bytes <= perCaller else {
            return Problem(
                .tooManyRequests,
                "you have sent \(perCaller >> 20) MiB of images that no job uses; submit jobs for them. Unused images "
                    + "are removed after an hour", headers: [.retryAfter: "600"])
        }
        // Of what would be free without any of them. Some file systems report free bytes near the largest `Int`.
        let share = Int(Self.shareOfFree * (Double(free) + Double(sum)))
        guard sum + bytes <= min(all, share) else {
            let left = "the disk has \(Readable.bytes(free)) left besides its reserve"
            let remedy = "free some space, and send the image again"
            let detail =
                if free < bytes {
                    "\(left), too little for the image; \(remedy)"
                } else if unused.isEmpty && share < all {
                    "\(left), and images that no job uses may take a quarter of that; \(remedy)"
                } else {
                    "images that no job uses fill their share of the disk; they are removed after an hour"
                }
            return Problem(
                .init(code: 507, reasonPhrase: "Insufficient Storage"), detail, headers: [.retryAfter: "600"])
        }
        return nil
    }

    /// Ends an upload: its bytes count as a stored exemplar, or no more.
    func finish(_ bytes: Int, for caller: String, stored sha256: String?) {
        hold(-bytes, of: caller)
        if let sha256 { add(sha256, Upload(caller: caller, bytes: max(bytes, Self.leastBytes))) }
    }

    private func add(_ sha256: String, _ upload: Upload) {
        guard unused[sha256] == nil else { return }
        unused[sha256] = upload
        hold(upload.bytes, of: upload.caller)
    }

    private func hold(_ bytes: Int, of caller: String) {
        sum += bytes
        let own = held[caller, default: 0] + bytes
        held[caller] = own > 0 ? own : nil
    }

    private func forgetUsed() async throws {
        for sha256 in Array(unused.keys) {
            let isUsed = try await store.isReferenced(sha256: sha256)
            // An image counts until the system says that it is gone.
            let isGone = (try? artifacts.size(of: sha256) == nil) ?? false
            guard isUsed || isGone, let upload = unused.removeValue(forKey: sha256) else { continue }
            hold(-upload.bytes, of: upload.caller)
        }
    }

    /// Finds what earlier processes left, once. A search that fails is repeated by the next upload.
    private func look() async throws {
        let search = self.search ?? Task { try await self.findUnused() }
        self.search = search
        do {
            try await search.value
        } catch {
            // Another upload may have begun the next one.
            if self.search == search { self.search = nil }
            throw error
        }
    }

    private func findUnused() async throws {
        let files = try await disk.run(.files) { [artifacts] in artifacts.files() }
        for (sha256, file) in files {
            guard let sha256, try await !store.isReferenced(sha256: sha256) else { continue }
            add(sha256, Upload(caller: "", bytes: max(file.sizeBytes, Self.leastBytes)))
        }
    }
}
