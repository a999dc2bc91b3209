import ClusterCore
import Foundation
import Protocol
import TextureGAN

/// What the files of a job that works on a generator are called: as `texloom expand` and `texloom export` would call them.
struct ProductNames {
    private let stem: String
    /// Of a photograph, the pictures; of a material, the folders of the results.
    private let results: [String]
    /// Of a material: which map of which result each picture is, by its number, and what the result's MaterialX file
    /// calls it.
    private let maps: [(result: Int, kind: MapKind, name: String?)]
    private let format: String

    /// - Parameter reportJSON: What the worker says of the pictures.
    init(_ job: JobSummary, reportJSON: String?) {
        stem = FileName.component(FileName.stem(of: job.fileName)).shortened(to: ExpansionOptions.maxStemBytes)
        var result = -1
        maps = Self.maps(reportJSON).map { kind, name in
            // The albedo is the first map of each result.
            if kind == .albedo { result += 1 }
            return (result, kind, name)
        }
        // A newer coordinator may know more options.
        results =
            (try? ExpansionOptions(job.recipe))?.names(stem: stem, extension: maps.isEmpty ? ".png" : "") ?? []
        format = (try? ExportOptions(job.recipe))?.format.rawValue ?? "onnx"
    }

    /// The maps that a report names, in the order of the pictures' numbers, and their files' names; empty for
    /// photographs.
    private static func maps(_ reportJSON: String?) -> [(kind: MapKind, name: String?)] {
        struct Picture: Decodable {
            var map: String?
            var name: String?
        }
        struct Report: Decodable { var pictures: [Picture]? }
        let report = reportJSON.flatMap { try? JSONDecoder().decode(Report.self, from: Data($0.utf8)) }
        let pictures = report?.pictures ?? []
        let kinds = pictures.compactMap { $0.map.flatMap(MapKind.init) }
        guard kinds.count == pictures.count, kinds.first == .albedo else { return [] }
        let names = pictures.map(\.name)
        // Two files of one name would be one.
        let areNames = Set(names).count == names.count && names.allSatisfy { $0.map(isFileName) ?? false }
        return zip(kinds, names).map { ($0, areNames ? $1 : nil) }
    }

    /// Whether a name that a worker gave can be a PNG's in a folder, and leads to no other.
    private static func isFileName(_ name: String) -> Bool {
        FileName.component(name) == name && name.utf8.first != UInt8(ascii: ".") && name.hasSuffix(".png")
            && name.utf8.count <= FileName.maxBytes
    }

    func picture(_ number: Int) -> String {
        if maps.indices.contains(number - 1), results.indices.contains(maps[number - 1].result) {
            let (result, kind, name) = maps[number - 1]
            return "\(results[result])/\(name ?? kind.fileName(of: results[result]))"
        }
        return maps.isEmpty && results.indices.contains(number - 1)
            ? results[number - 1] : "\(stem)-picture-\(number).png"
    }

    /// The file that joins the maps of a result.
    private func description(_ number: Int) -> String {
        guard results.indices.contains(number - 1) else { return "\(stem)-\(number).mtlx" }
        return "\(results[number - 1])/\(results[number - 1]).mtlx"
    }

    /// Where the products go.
    func targets(of artifacts: [ArtifactSummary], in folder: URL) -> [URL: ArtifactSummary] {
        var targets: [URL: ArtifactSummary] = [:]
        for artifact in artifacts {
            switch artifact.role {
            case .picture: targets[folder.appendingPathComponent(picture(artifact.number))] = artifact
            case .model: targets[folder.appendingPathComponent("generator.\(format)")] = artifact
            case .material: targets[folder.appendingPathComponent(description(artifact.number))] = artifact
            case .exemplar, .map, .snapshot, .checkpoint, .generator, .discriminator: break
            }
        }
        return targets
    }
}

extension JobSummary {
    /// "30/9000": the iterations of a training. The steps of other work say nothing to people.
    var iterationsDone: String? { isTraining ? "\(iteration)/\(totalIterations)" : nil }
}
