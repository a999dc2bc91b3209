import ArgumentParser
import Base
import ClusterCore
import Foundation
import Protocol

struct DeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Deletes jobs that have ended, with all their files.",
        discussion: """
            Removes a job's records, pictures, networks, checkpoints and curves from the coordinator. A file that another \
            job needs stays, and so does every folder that was gathered. Jobs that have not ended stay, unless --cancel \
            is given; so do jobs whose product another job waits for. Before several are deleted, the command asks; in a \
            script it needs --yes:

              texloom gather --batch walls
              texloom delete --batch walls --state finished --yes
            """)

    @OptionGroup var selection: SelectionOptions

    @Flag(help: "Cancel jobs that have not ended, and delete them, too.")
    var cancel = false

    @OptionGroup var client: ClientOptions

    func run() async throws {
        let states = JobState.allCases.filter { cancel || $0.isSettled }
        guard !selection.jobs.isEmpty else {
            return try await selection.change("delete", of: states, done: "deleted", client) { api, selection in
                var selection = selection
                selection.cancelFirst = cancel
                return try await api.delete(selection)
            }
        }
        try selection.confirmNamed("delete")
        let api = try client.client()
        var ids: [String] = []
        for word in selection.jobs { ids.append(try await api.job(word).id) }
        let changes = try await api.delete(JobSelection(jobs: ids, cancelFirst: cancel))
        if client.json {
            try sayJSON(changes)
        } else {
            for job in changes.changed { say("\(job.resultName.printable) (\(job.id)): deleted") }
        }
        guard changes.changed.count == Set(ids).count else {
            let deleted = Set(changes.changed.map(\.id))
            throw CommandFailure(
                "not deleted: \(ids.filter { !deleted.contains($0) }.joined(separator: ", ")). They have not ended "
                    + "(--cancel cancels them first), or other jobs wait for them (delete those, too)")
        }
    }
}

extension APIClient {
    /// Jobs of one request. A job may have hundreds of thousands of records, and the answer comes after the last one.
    private static let deletedAtOnce = 64

    /// Deletes the selected jobs with several requests, so that none takes longer than a connection may be silent. It
    /// deletes only jobs that were selected before the first request. Jobs of a filter that another client deletes
    /// meanwhile do not count.
    func delete(_ selection: JobSelection) async throws -> SelectionChanges {
        var selection = selection
        var ids = Array(Set(selection.jobs ?? []))
        var matched = ids.count
        let tags = JobTags(batch: selection.batch, labels: selection.labels ?? [:])
        let filter = JobFilter(state: selection.state, name: selection.name, recipe: selection.recipe, tags: tags)
        let isFilter = selection.jobs == nil
        if isFilter {
            let found = try await jobs(filter)
            matched = found.count
            ids = found.filter { selection.cancelFirst == true || $0.state.isSettled }.map(\.id)
        }
        if let atMost = selection.atMost, ids.count > atMost {
            throw CommandFailure(
                "the change now applies to \(counted(ids.count, "job")), no longer to \(atMost); nothing was changed: "
                    + "look at the jobs again")
        }
        selection.atMost = nil
        // A job can be deleted once those that wait for it are, and they are younger.
        ids.sort { (JobID($0)?.sequence ?? 0) > (JobID($1)?.sequence ?? 0) }
        var changed: [SelectionChanges.Job] = []
        var left = ids[...]
        while !left.isEmpty {
            let some = Array(left.prefix(Self.deletedAtOnce))
            selection.jobs = some
            do {
                let changes = try await post("/api/v1/selection/delete", body: selection, as: SelectionChanges.self)
                changed = changes.changed + changed
                left = left.dropFirst(some.count)
            } catch let failure as CommandFailure where failure.status == 404 && isFilter {
                let existing = Set(try await jobs(filter).map(\.id))
                guard !some.allSatisfy(existing.contains) else { throw failure }
                let before = left.count
                left = left.filter(existing.contains)[...]
                matched -= before - left.count
            } catch let failure as CommandFailure where !changed.isEmpty {
                throw CommandFailure(
                    "deleted \(changed.count) of \(counted(ids.count, "job")), then: \(failure.message)",
                    exit: failure.exitCode, status: failure.status)
            }
        }
        return SelectionChanges(matched: matched, changed: changed)
    }
}
