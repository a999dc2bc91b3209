import Foundation
import OperatingSystem
import Protocol

/// The folder of the best of several seeds: `NAME_result` after their oldest job, whichever job is the best.
enum SeedFolders {
    /// Which seed's folder was moved, and where to.
    struct Move: Equatable {
        var seed: String
        var from: String
        var to: String
    }

    /// Frees the folder for the group's best job: the result of another job of the group moves to `NAME-seedN_result`. A
    /// folder of any other run stays.
    /// - Parameter holder: the id of the job that the folder holds; nil: of no job.
    /// - Returns: nil if nothing was moved.
    /// - Throws: `CommandFailure` if the new place is taken.
    static func makeRoom(for group: SeedGroup, in parent: URL, heldBy holder: String?) throws -> Move? {
        guard let holder, holder != group.best, let earlier = group.jobs.first(where: { $0.job.id == holder }) else {
            return nil
        }
        let seed = earlier.seed.map(String.init) ?? "unknown"
        let folder = ResultFolder(named: group.resultName, in: parent).url
        let place = ResultFolder(named: "\(group.resultName)-seed\(seed)", in: parent).url
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
