import Foundation
import OperatingSystem
import Protocol

/// The folders of the best of several seeds: `NAME_result` after their oldest job, whichever job is the best, and
/// `NAME-expand_result` for what was made of it.
enum SeedFolders {
    /// Which seed's folder was moved, and where to.
    struct Move: Equatable {
        var seed: String
        var from: String
        var to: String
    }

    /// The result name of work on the group's best job, whichever seed that is: "bricks-expand-2" for the second `expand`
    /// on it. The name of the work itself says less: in the second batch of an exemplar it is `bricks-seed3-expand-4`,
    /// and the training's `bricks-seed3-4`.
    /// - Returns: nil if it is no work on that job.
    static func name(of work: JobSummary, after best: JobDetail, in group: SeedGroup) -> String? {
        guard let followers = best.followers, let index = followers.firstIndex(where: { $0.id == work.id }) else {
            return nil
        }
        let kind = followers[index].kind
        let number = followers[...index].count { $0.kind == kind }
        return "\(group.resultName)-\(kind)" + (number == 1 ? "" : "-\(number)")
    }

    /// Frees a folder for the group's best job, or for work on it: what another seed has there moves to
    /// `NAME-seedN_result`, or `NAME-seedN-expand_result`. A folder of any other run stays.
    /// - Parameters:
    ///   - name: the folder's result name, which begins with the group's.
    ///   - training: the id of the training whose files the folder holds; nil: of none.
    /// - Returns: nil if nothing was moved.
    /// - Throws: `CommandFailure` if the new place is taken.
    static func makeRoom(
        at name: String, for group: SeedGroup, in parent: URL, heldBy training: String?
    ) throws -> Move? {
        guard let training, training != group.best, let earlier = group.jobs.first(where: { $0.job.id == training })
        else { return nil }
        let seed = earlier.seed.map(String.init) ?? "unknown"
        let folder = ResultFolder(named: name, in: parent).url
        let suffix = name.dropFirst(group.resultName.count)
        let place = ResultFolder(named: "\(group.resultName)-seed\(seed)\(suffix)", in: parent).url
        guard !FileManager.default.fileExists(atPath: place.path) else {
            throw CommandFailure(
                "\(folder.path) holds seed \(seed), which is not the best one, and cannot be moved to \(place.path), "
                    + "which already exists; move or remove one of them, or name another place with --out")
        }
        guard rename(folder.path, place.path) == 0 else {
            throw CommandFailure("\(folder.path) cannot be moved to \(place.path): \(reasonOfSystem(errno))")
        }
        return Move(seed: seed, from: folder.path, to: place.path)
    }
}
