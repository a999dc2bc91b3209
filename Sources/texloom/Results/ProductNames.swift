import ClusterCore
import Foundation
import Protocol
import TextureGAN

/// What the files of a job that works on a generator are called: as `texloom expand` and `texloom export` would call them.
struct ProductNames {
    private let stem: String
    private let pictures: [String]
    private let format: String

    init(_ job: JobSummary) {
        stem = FileName.stem(of: job.fileName)
        // A newer coordinator may know more options.
        pictures = (try? ExpansionOptions(job.recipe))?.names(stem: stem) ?? []
        format = (try? ExportOptions(job.recipe))?.format.rawValue ?? "onnx"
    }

    func picture(_ number: Int) -> String {
        let name = pictures.indices.contains(number - 1) ? pictures[number - 1] : "\(stem)-picture-\(number).png"
        return name.replacing("/", with: "_").replacing("\0", with: "_")
    }

    /// Where the products go.
    func targets(of artifacts: [ArtifactSummary], in folder: URL) -> [URL: ArtifactSummary] {
        var targets: [URL: ArtifactSummary] = [:]
        for artifact in artifacts {
            switch artifact.kind {
            case .picture: targets[folder.appendingPathComponent(picture(artifact.iteration))] = artifact
            case .model: targets[folder.appendingPathComponent("generator.\(format)")] = artifact
            case .exemplar, .snapshot, .checkpoint, .generator, .discriminator: break
            }
        }
        return targets
    }
}

extension JobSummary {
    /// A coordinator that names no kinds knows only this one.
    var isTraining: Bool { kind ?? .train == .train }
    /// "30/9000": the iterations of a training. The steps of other work say nothing to people.
    var iterationsDone: String? { isTraining ? "\(iteration)/\(totalIterations)" : nil }
}
