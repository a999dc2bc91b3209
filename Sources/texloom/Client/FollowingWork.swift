import ArgumentParser
import ClusterCore
import Protocol
import TextureGAN
import Worker

/// What is to happen with a generator once it is trained, as `--then` says it.
struct FollowingWork: Sendable {
    private let kind: JobKind
    private let spec: String
    private let expansion: ExpansionOptions?

    static let help = ArgumentHelp(
        """
        Once a job has finished, do this with its generator: expand, with the options size, times, seamless, variations, \
        input, seed, depth and statistics of 'texloom expand', or export. Can be repeated.
        """, valueName: "kind:options")

    /// - Throws: `ValidationError` for work that nothing does.
    init(_ text: String) throws {
        let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
        let options = parts.count == 2 ? parts[1] : ""
        do {
            switch parts.first {
            case JobKind.expand.rawValue:
                let options = try ExpansionOptions(options)
                (kind, spec, expansion) = (.expand, "\(options)", options)
            case JobKind.export.rawValue:
                (kind, spec, expansion) = (.export, "\(try ExportOptions(options))", nil)
            default:
                throw ExpansionFailure(
                    "expected expand or export, such as expand:size=4096x4096,seamless or export:onnx")
            }
        } catch let failure as ExpansionFailure {
            throw ValidationError("--then \(text): \(failure.message)")
        }
    }

    /// What to ask the coordinator for. Without a depth, photographs have 8 bits and maps those of their inputs, so only
    /// materials need it said.
    func followUp(ofMaterial isMaterial: Bool) -> FollowUp {
        guard var options = expansion, options.depth == 8, !isMaterial else { return FollowUp(kind: kind, spec: spec) }
        options.depth = nil
        return FollowUp(kind: kind, spec: "\(options)")
    }

    /// - Throws: `CommandFailure` if an exemplar of this size cannot be expanded so.
    func check(_ name: String, width: Int, height: Int, _ layout: MapLayout) throws {
        guard let expansion else { return }
        do {
            let largest = try PictureExpansion.check(expansion, of: name, width: width, height: height)
            try ProductLimits.cluster.check(expansion, largest, of: layout)
        } catch let failure as ExpansionFailure {
            throw CommandFailure("--then expand: \(failure.message)")
        }
    }
}

extension AcceptedJob {
    /// The jobs for the work that was asked for.
    /// - Throws: `CommandFailure` if the coordinator knows no such work.
    func followers(of work: [FollowingWork]) throws -> [AcceptedJob]? {
        guard !work.isEmpty else { return nil }
        guard let followers, followers.count == work.count else {
            throw CommandFailure(
                "the coordinator has accepted \(id), but it is of an older texloom and knows no --then; upgrade it, then "
                    + "submit again")
        }
        return followers
    }

    /// A line about a job that waits.
    var lineOfFollower: String {
        "then      \(resultName) as \(id)" + (alreadyExisted ? "  (was submitted before, \(state.rawValue))" : "")
            + (obstacle.map { ": \($0)" } ?? "")
    }
}
