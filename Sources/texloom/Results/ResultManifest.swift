import Base
import ClusterCore
import Foundation
import Protocol

/// manifest.json of a gathered folder: what is in it and where it comes from.
struct ResultManifest: Encodable {
    struct File: Codable {
        let path: String
        /// What the file is to the job; nil for a file that gathering has written.
        var role: ArtifactRole?
        let bytes: Int
        let sha256: String
    }

    struct Job: Encodable {
        let id: String
        let name: String
        let kind: JobKind
        let state: JobState
    }

    struct Source: Encodable {
        let id: String
        let name: String
    }

    private enum CodingKeys: String, CodingKey {
        case software, job, exemplar, recipe, licence, figures, files
        case madeFrom = "made_from"
    }

    private let software = "texloom \(texloomVersion)"
    private let job: Job
    private let exemplar: String
    /// The jobs whose products were its inputs.
    private let madeFrom: [Source]
    /// The recipe in full; of other work, the options.
    private let recipe: String
    private let licence: String?
    /// What was measured: quality figures of a training, seams of pictures.
    private let figures: [String: Float]
    private var files: [File] = []
    /// By path.
    private let artifacts: [String: ArtifactSummary]

    /// - Parameter targets: the job's artifacts by their files.
    init(_ detail: JobDetail, _ targets: [URL: ArtifactSummary], licence: String?) {
        let summary = detail.job
        job = Job(
            id: summary.id, name: summary.resultName, kind: summary.kind ?? .train, state: summary.state)
        exemplar = summary.fileName
        madeFrom = (detail.after ?? []).map { Source(id: $0.id, name: $0.resultName) }
        recipe = detail.recipeYAML
        self.licence = licence
        var figures = detail.reportJSON.flatMap(TrainingReport.init)?.quality ?? [:]
        let pictures = (detail.reportJSON.map(PictureFigures.read) ?? []).filter { $0.map == nil || $0.map == "albedo" }
        for (index, picture) in pictures.enumerated() {
            let suffix = pictures.count > 1 ? "_\(index + 1)" : ""
            if let x = picture.seam_x { figures["seam_x\(suffix)"] = x }
            if let y = picture.seam_y { figures["seam_y\(suffix)"] = y }
        }
        self.figures = figures
        artifacts = Dictionary(
            targets.map { ($0.key.standardizedFileURL.path, $0.value) }, uniquingKeysWith: { first, _ in first })
    }

    static func url(in folder: URL) -> URL { folder.appendingPathComponent("manifest.json") }

    /// What a folder's manifest lists; nothing without a readable one.
    static func files(in folder: URL) -> [File] {
        struct Listing: Decodable { var files: [File] }
        let data = try? Data(contentsOf: url(in: folder))
        return data.flatMap { try? JSONDecoder().decode(Listing.self, from: $0) }?.files ?? []
    }

    /// Lists the folder's files, and writes the manifest as the last of them.
    func write(in folder: URL) throws {
        var manifest = self
        let target = Self.url(in: folder)
        let root = folder.standardizedFileURL.path
        let paths = (try? FileManager.default.subpathsOfDirectory(atPath: root)) ?? []
        for path in paths.sorted() where !Self.isHidden(path) && path != target.lastPathComponent {
            let file = URL(fileURLWithPath: "\(root)/\(path)")
            let values = try? file.resourceValues(forKeys: [.isRegularFileKey, .fileSizeKey])
            guard values?.isRegularFile == true, let bytes = values?.fileSize else { continue }
            // Fetched files have been compared with their digests.
            let artifact = artifacts[file.path]
            manifest.files.append(
                File(
                    path: path, role: artifact?.role, bytes: bytes,
                    sha256: try artifact?.sha256 ?? sha256(of: file)))
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try texloom.write(try encoder.encode(manifest), to: target)
    }

    /// Whether a path leads to what belongs to no result: a marker, or what a killed process has left (``NewFile``).
    private static func isHidden(_ path: String) -> Bool { path.split(separator: "/").contains { $0.hasPrefix(".") } }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(software, forKey: .software)
        try container.encode(job, forKey: .job)
        try container.encode(exemplar, forKey: .exemplar)
        if !madeFrom.isEmpty { try container.encode(madeFrom, forKey: .madeFrom) }
        try container.encode(recipe, forKey: .recipe)
        // Null if it is not known: a reader must see that somebody has to say it.
        try container.encode(licence, forKey: .licence)
        try container.encode(figures, forKey: .figures)
        try container.encode(files, forKey: .files)
    }
}

/// What a worker reports of a picture.
private struct PictureFigures: Decodable {
    /// Of a material, whose albedo alone has seams.
    var map: String?
    var seam_x: Float?
    var seam_y: Float?

    private struct Report: Decodable { var pictures: [PictureFigures]? }

    /// Empty for the report of other work.
    static func read(_ json: String) -> [PictureFigures] {
        (try? JSONDecoder().decode(Report.self, from: Data(json.utf8)))?.pictures ?? []
    }
}
