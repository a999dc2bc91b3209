import ClusterCore
import EventFiles
import Foundation
import Logging

/// Keeps a TensorBoard event file of each job in `tensorboard/NAME/`, one beat behind the store.
///
/// The files are derived. The writer reads a file to see what it has, and asks the store after the commit for what it
/// lacks. So nothing waits for the files, a crash or a full disk leaves neither a gap nor a duplicate, and the writer
/// makes a deleted folder again.
actor EventFileWriter {
    /// Time between two checks for new records.
    static let interval = Duration.seconds(1)
    /// Time between two checks after a failure. It is longer, because each try reads a file from its start.
    static let patience = Duration.seconds(30)
    /// Upper limit on the old files in one beat. At start the writer finds incomplete and missing files, and repairs
    /// them beside those of running jobs.
    static let maxOldJobsPerBeat = 10
    /// Rows to fetch from the store at once.
    static let rowsPerStep = 1_000
    /// More than one `append` writes: `rowsPerStep` rows, or a picture.
    private static let spaceNeeded = 2 << 20

    private let folder: URL
    private let store: JobStore
    private let artifacts: ArtifactStore
    private let engine: ClusterEngine
    private let disk: BlockingWork
    private let logger: Logger
    /// Files of running jobs, so that a beat does not read them again.
    private var files: [JobID: EventFile] = [:]
    private var waiting: Set<JobID> = []
    private var old: [JobID] = []
    private var hasFailed = false
    /// Snapshots that are not images. The log mentions each once.
    private var badSnapshots: Set<String> = []

    init(
        folder: URL, store: JobStore, artifacts: ArtifactStore, engine: ClusterEngine, disk: BlockingWork,
        logger: Logger
    ) {
        self.folder = folder
        self.store = store
        self.artifacts = artifacts
        self.engine = engine
        self.disk = disk
        self.logger = logger
    }

    /// Works until the task is cancelled.
    func run() async {
        await removeFilesOfDeletedJobs()
        await findOldJobs()
        while !Task.isCancelled {
            await beat()
            try? await Task.sleep(for: hasFailed ? Self.patience : Self.interval)
        }
    }

    /// Finds files that an earlier process did not complete, or that someone deleted since.
    func findOldJobs() async {
        do {
            let jobs = try await store.measuredJobs()
            old = try await disk.run(.files) { [folder] in
                jobs.filter { job in
                    // A complete file has its job's end as its modification time.
                    let file = Self.file(of: job.resultName, in: folder)
                    guard let endedAt = job.endedAt, let time = Self.time(of: file) else { return true }
                    return abs(time.timeIntervalSince(endedAt)) > 0.001
                }.map(\.id)
            }
        } catch {
            logger.warning(
                "event files of earlier jobs stay as they are until the next start",
                metadata: ["error": "\(error)"])
        }
    }

    /// Removes event files whose jobs are gone. Leaves folders alone that hold anything else.
    func removeFilesOfDeletedJobs() async {
        do {
            // Only this actor makes folders here, and only of jobs that the store has.
            let names = try await store.resultNames()
            try await disk.run(.files) { [folder] in
                for entry in ArtifactStore.entries(of: folder)
                where entry.isFolder && !names.contains(entry.url.lastPathComponent) {
                    unlink(Self.file(of: entry.url.lastPathComponent, in: folder).path)
                    rmdir(entry.url.path)
                }
            }
        } catch {
            logger.warning("event files of deleted jobs stay until the next start", metadata: ["error": "\(error)"])
        }
    }

    /// Updates the files of jobs with new records since the last beat, and some old ones.
    func beat() async {
        let recorded = await engine.takeRecordedJobs()
        let cluster = await engine.committed
        if recorded.contains(where: { cluster.job($0) == nil }) { await removeFilesOfDeletedJobs() }
        let some = old.suffix(Self.maxOldJobsPerBeat)
        old.removeLast(some.count)
        await bringUpToDate(recorded.union(some))
    }

    /// Updates the files of these jobs, and the files of earlier failures.
    func bringUpToDate(_ jobs: Set<JobID>) async {
        waiting.formUnion(jobs)
        var failure: (any Error)?
        for job in waiting.sorted() {
            do {
                try await bringUpToDate(job)
                waiting.remove(job)
            } catch {
                files[job] = nil
                failure = error
            }
            if Task.isCancelled { return }
        }
        if let failure, !hasFailed {
            logger.warning(
                "an event file for TensorBoard cannot be written; nothing else depends on it, and the coordinator retries",
                metadata: ["error": "\(failure)"])
        } else if failure == nil, hasFailed {
            logger.notice("event files for TensorBoard can be written again")
        }
        hasFailed = failure != nil
    }

    private func bringUpToDate(_ id: JobID) async throws {
        guard var file = try await file(of: id) else {
            files[id] = nil
            return
        }
        var last = file.lastStep
        var attempt = file.note.flatMap(Self.attempt) ?? 0
        var restart: Int?
        var missing: MissingMeasurements
        repeat {
            guard
                let found = try await store.measurements(of: id, after: last, of: attempt, limit: Self.rowsPerStep)
            else { return }
            missing = found
            if found.attempt > attempt {
                restart = found.after + 1
                attempt = found.attempt
            }
            var events = found.rows.filter { !$0.values.isEmpty }.map {
                Event.measurements(iteration: $0.iteration, unixSeconds: $0.unixSeconds, values: $0.values)
            }
            // Not before: until the new attempt has measured something, the old curve says more.
            if let first = events.first, let step = restart {
                events.insert(
                    Event(wallTime: first.wallTime, step: step, .start(note: Self.note(attempt))), at: 0)
                restart = nil
            }
            if !events.isEmpty { file = try await append(events, to: file) }
            last = found.rows.last?.iteration ?? last
        } while missing.rows.count == Self.rowsPerStep
        file = try await addSnapshots(missing, of: id, to: file)
        files[id] = missing.isRunning ? file : nil
        if let endedAt = missing.endedAt {
            try await disk.run(.chunks) { [file] in Self.setTime(of: file.url, endedAt) }
        }
    }

    private func addSnapshots(
        _ missing: MissingMeasurements, of id: JobID, to start: EventFile
    ) async throws -> EventFile {
        var file = start
        for snapshot in missing.snapshots {
            // A worker measures an iteration before it draws it, so a snapshot beyond the measurements comes from an
            // earlier attempt. And an out-of-order picture would take the place of all later ones.
            let isDue = !missing.isRunning || snapshot.iteration <= file.lastStep
            guard isDue, snapshot.iteration > file.pictures.max() ?? -1, !badSnapshots.contains(snapshot.sha256)
            else { continue }
            do {
                let event = try await disk.run(.files) { [artifacts] in
                    try Event.snapshot(
                        iteration: snapshot.iteration, unixSeconds: snapshot.createdAt.timeIntervalSince1970,
                        file: artifacts.file(of: snapshot.sha256))
                }
                file = try await append([event], to: file)
            } catch let error as EventFileError where error.code == .badPicture {
                leaveOut(snapshot, of: id, error)
            } catch let error as CoordinatorError where error.code == .notStored {
                leaveOut(snapshot, of: id, error)
            }
        }
        return file
    }

    private func leaveOut(_ snapshot: MissingMeasurements.Snapshot, of id: JobID, _ error: any Error) {
        badSnapshots.insert(snapshot.sha256)
        logger.warning(
            "a snapshot is left out of the event file",
            metadata: ["job": "\(id)", "iteration": "\(snapshot.iteration)", "error": "\(error)"])
    }

    private func append(_ events: [Event], to file: EventFile) async throws -> EventFile {
        try await disk.run(.chunks) { [artifacts] in
            // The last bytes of the disk belong to the job store.
            try artifacts.requireSpace(for: Self.spaceNeeded)
            var file = file
            try file.append(events)
            return file
        }
    }

    private func file(of id: JobID) async throws -> EventFile? {
        let known = files[id]
        guard let name = try await store.resultName(of: id) else { return nil }
        return try await disk.run(.files) { [folder] in
            if let known, known.isAsLeft { return known }
            return try EventFile(goingOnWith: Self.file(of: name, in: folder))
        }
    }

    private static func note(_ attempt: Int) -> String { "attempt \(attempt)" }

    private static func attempt(_ note: String) -> Int? { note.split(separator: " ").last.flatMap { Int($0) } }

    /// Result names are file names, and each belongs to one job.
    static func file(of resultName: String, in folder: URL) -> URL {
        folder.appendingPathComponent(resultName, isDirectory: true).appendingPathComponent(EventFile.name)
    }

    private static func time(of file: URL) -> Date? {
        let attributes = try? FileManager.default.attributesOfItem(atPath: file.path)
        return attributes?[.modificationDate] as? Date
    }

    /// If it fails, the next start reads the file once more.
    private static func setTime(of file: URL, _ time: Date) {
        try? FileManager.default.setAttributes([.modificationDate: time], ofItemAtPath: file.path)
    }
}
