import ArgumentParser
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
            return try await selection.change("delete", of: states, done: "deleted", client) {
                $0.cancelFirst = cancel
            }
        }
        let api = try client.client()
        var ids: [String] = []
        for word in selection.jobs { ids.append(try await api.job(word).id) }
        let changes = try await api.post(
            "/api/v1/selection/delete", body: JobSelection(jobs: ids, cancelFirst: cancel), as: SelectionChanges.self)
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
