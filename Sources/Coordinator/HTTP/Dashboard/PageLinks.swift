import Base
import ClusterCore
import Foundation
import Protocol

/// What the page of a job shows of other jobs, and of the pictures that it has made.
struct PageLinks {
    /// Pictures and files that a page shows unless it is asked for all.
    static let picturesShown = 24
    /// Of pictures without a preview, thumbnails are made up to this size; larger ones are links.
    private static let maxPixels = 64 << 20

    private let detail: JobDetail
    private let pictures: [ArtifactSummary]
    /// By the number of their picture.
    private let previews: [Int: String]
    private let showsAll: Bool

    init(_ detail: JobDetail, artifacts: [ArtifactSummary], showsAll: Bool) {
        self.detail = detail
        self.showsAll = showsAll
        pictures = artifacts.filter { $0.role == .picture }
        previews = Dictionary(
            artifacts.filter { $0.role == .snapshot }.map { ($0.iteration, $0.sha256) }, uniquingKeysWith: { $1 })
    }

    /// Of a job with very many pictures, only the first ones.
    func isShown(_ artifact: ArtifactSummary) -> Bool {
        showsAll || artifact.role != .picture || artifact.number <= Self.picturesShown
    }

    var content: [String: Any?] {
        let isTraining = detail.job.isTraining
        let sizes = self.sizes
        return [
            "trains": isTraining, "took": isTraining ? "trained for" : "took",
            "hasAfter": detail.after != nil, "after": (detail.after ?? []).map(link),
            "hasFollowers": detail.followers != nil, "followers": (detail.followers ?? []).map(link),
            "hasMade": !pictures.isEmpty,
            "hasMore": !pictures.allSatisfy(isShown), "madeCount": counted(pictures.count, "picture"),
            "made": pictures.filter(isShown).map { picture -> [String: Any] in
                let index = picture.number - 1
                let size = sizes.indices.contains(index) ? sizes[index] : nil
                let isSmall = size.map { $0.width * $0.height <= Self.maxPixels } ?? false
                // A preview shows the whole picture; a thumbnail is cut to a square.
                let thumbnail =
                    previews[picture.number].map { "/api/v1/artifacts/\($0)" }
                    ?? (isSmall ? "/thumbnails/\(picture.sha256).png" : nil)
                return [
                    "sha256": picture.sha256, "number": picture.number,
                    "size": (size?.map.map { "\(Readable.plain($0)), " } ?? "")
                        + (size.map { "\($0.width) × \($0.height)\($0.seams)" } ?? Readable.bytes(picture.sizeBytes)),
                    "hasThumbnail": thumbnail != nil, "thumbnail": thumbnail ?? "",
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
        /// Of a picture that tiles: see docs/quality.md.
        var seam_x: Float?
        var seam_y: Float?

        /// ", seam x 0.61, y 0.25"; empty for a picture that does not tile.
        var seams: String {
            let axes = [("x", seam_x), ("y", seam_y)].compactMap { axis, seam in
                seam.map { String(format: "\(axis) %.2f", $0) }
            }
            return axes.isEmpty ? "" : ", seam \(axes.joined(separator: ", "))"
        }
    }

    /// What the worker reports of its pictures, in the order of their numbers.
    private var sizes: [Size] {
        struct Report: Decodable { var pictures: [Size]? }
        let report = detail.reportJSON.flatMap { try? JSONDecoder().decode(Report.self, from: Data($0.utf8)) }
        return (report?.pictures ?? []).filter { (0...1 << 20).contains($0.width) && (0...1 << 20).contains($0.height) }
    }
}
