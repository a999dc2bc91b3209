import Base
import ClusterCore
import Foundation
import Protocol

/// What the page of a job shows of other jobs, and of the pictures that it has made.
struct PageLinks {
    /// Thumbnails are made of pictures up to this size; larger ones are links.
    private static let maxPixels = 64 << 20

    private let detail: JobDetail
    private let pictures: [ArtifactSummary]

    init(_ detail: JobDetail, pictures: [ArtifactSummary]) {
        self.detail = detail
        self.pictures = pictures
    }

    var content: [String: Any?] {
        let isTraining = detail.job.kind ?? .train == .train
        let sizes = self.sizes
        return [
            "trains": isTraining, "took": isTraining ? "trained for" : "took",
            "work": isTraining ? "recipe" : (detail.job.kind ?? .train).rawValue,
            "hasAfter": detail.after != nil, "after": (detail.after ?? []).map(link),
            "hasFollowers": detail.followers != nil, "followers": (detail.followers ?? []).map(link),
            "hasMade": !pictures.isEmpty,
            "made": pictures.map { picture -> [String: Any] in
                let index = picture.iteration - 1
                let size = sizes.indices.contains(index) ? sizes[index] : nil
                return [
                    "sha256": picture.sha256, "number": picture.iteration,
                    "size": (size?.map.map { "\(Readable.plain($0)), " } ?? "")
                        + (size.map { "\($0.width) × \($0.height)" } ?? Readable.bytes(picture.sizeBytes)),
                    "hasThumbnail": size.map { $0.width * $0.height <= Self.maxPixels } ?? false,
                ]
            },
        ]
    }

    private func link(_ job: JobLink) -> [String: Any] {
        [
            "otherID": job.id, "otherName": Readable.plain(job.resultName),
            "otherKind": Readable.plain(job.kind.rawValue),
            "otherState": job.state.rawValue,
        ]
    }

    private struct Size: Decodable {
        var width: Int
        var height: Int
        /// Of a material.
        var map: String?
    }

    /// What the worker reports of its pictures, in the order of their numbers.
    private var sizes: [Size] {
        struct Report: Decodable { var pictures: [Size]? }
        let report = detail.reportJSON.flatMap { try? JSONDecoder().decode(Report.self, from: Data($0.utf8)) }
        return (report?.pictures ?? []).filter { (0...1 << 20).contains($0.width) && (0...1 << 20).contains($0.height) }
    }
}
