import Foundation
import NNCore
import Protocol

/// Brings the files of one job from the coordinator into a folder.
struct JobFiles {
    let api: APIClient
    let job: JobSummary
    /// The licence of the results, for the manifest.
    let licence: String?

    /// - Returns: The number of files that were fetched; those that are there with the right digest are not.
    func gatherTraining(into folder: ResultFolder) async throws -> Int {
        let (detail, artifacts) = try await described()
        try folder.claim(for: job)
        if detail.maps != nil { try folder.createExemplarMaps() }
        let targets = trainingTargets(of: artifacts, maps: detail.maps, in: folder)
        let fetched = try await fetch(targets)
        if job.state == .finished, !targets.keys.contains(folder.checkpoint) {
            folder.removeCheckpoint(before: job.totalIterations)
        }
        try folder.write(recipe: detail.recipeYAML)
        let rows = try await metrics()
        let before = folder.readMetrics()
        try folder.write(metrics: rows)
        writeEvents(in: folder, rows, replacing: before, artifacts)
        try await write(log: folder.log, of: detail)
        if job.state == .finished {
            try folder.finish(
                ResultFolder.Result(
                    job: job.id, name: job.name, exemplar: job.fileName, startedAt: job.startedAt,
                    finishedAt: job.finishedAt, trainingSeconds: detail.trainingSeconds, worker: job.worker,
                    attempts: detail.attempts.count, report: detail.reportJSON))
        }
        try ResultManifest(detail, targets, licence: licence).write(in: folder.url)
        return fetched
    }

    /// - Returns: The number of files that were fetched; those that are there with the right digest are not.
    /// - Throws: `CommandFailure` also if the job has not finished.
    func gatherProducts(into folder: ResultFolder) async throws -> Int {
        guard job.state == .finished else {
            let reason = job.reason.map { ": \($0)" } ?? ""
            throw CommandFailure("nothing to gather: it is \(job.state.rawValue)\(reason)")
        }
        let (detail, artifacts) = try await described()
        try folder.createWithoutImages()
        // The claim removes the manifest.
        let before = ResultManifest.files(in: folder.url)
        try folder.claim(for: job)
        let targets = ProductNames(job, reportJSON: detail.reportJSON).targets(of: artifacts, in: folder.url)
        for parent in Set(targets.keys.map { $0.deletingLastPathComponent() }) { try folder.create(parent) }
        folder.rename(before, to: targets)
        let fetched = try await fetch(targets)
        try await write(log: folder.log, of: detail)
        try ResultManifest(detail, targets, licence: licence).write(in: folder.url)
        return fetched
    }

    private func described() async throws -> (JobDetail, [ArtifactSummary]) {
        let detail = try await api.get("/api/v1/jobs/\(job.id)", as: JobDetail.self)
        let artifacts = try await api.get("/api/v1/jobs/\(job.id)/artifacts", as: ArtifactList.self).artifacts
        return (detail, artifacts.sorted { $0.iteration < $1.iteration })
    }

    /// - Parameters:
    ///   - artifacts: By iteration. Of several of a kind (checkpoints), the last one is the newest.
    ///   - maps: The exemplar's, if it is a material.
    private func trainingTargets(
        of artifacts: [ArtifactSummary], maps: [MapFile]?, in folder: ResultFolder
    ) -> [URL: ArtifactSummary] {
        var targets: [URL: ArtifactSummary] = [:]
        for artifact in artifacts {
            switch artifact.role {
            case .snapshot: targets[folder.snapshot(artifact.iteration)] = artifact
            case .generator: targets[folder.generator] = artifact
            case .discriminator: targets[folder.discriminator] = artifact
            case .checkpoint: targets[folder.checkpoint] = artifact
            // The albedo is among the maps.
            case .exemplar where maps != nil: break
            case .map:
                guard let map = artifact.map(in: maps) else { break }
                targets[folder.exemplarMap(map)] = artifact
            case .exemplar:
                let name = FileName.component(URL(fileURLWithPath: job.fileName).lastPathComponent)
                targets[folder.url.appendingPathComponent(FileName.shortened("exemplar-\(name)"))] = artifact
            case .picture, .model, .material: break
            }
        }
        return targets
    }

    private func fetch(_ targets: [URL: ArtifactSummary]) async throws -> Int {
        var fetched = 0
        for (file, artifact) in targets.sorted(by: { $0.key.path < $1.key.path }) {
            if try await api.fetch(artifact, to: file) { fetched += 1 }
        }
        return fetched
    }

    private func metrics() async throws -> [ResultFolder.Row] {
        var rows: [ResultFolder.Row] = []
        var after = -1
        while true {
            let page = try await api.get(
                "/api/v1/jobs/\(job.id)/metrics", query: ["after": String(after)], as: MetricsPage.self)
            rows += page.rows.map {
                ResultFolder.Row(iteration: $0.iteration, unixSeconds: $0.unixSeconds, values: $0.values)
            }
            guard let next = page.next else { return rows }
            after = next
        }
    }

    /// Continues the event file of an earlier gathering. If another attempt has repeated iterations since, it continues
    /// from the first of them.
    private func writeEvents(
        in folder: ResultFolder, _ rows: [ResultFolder.Row], replacing before: [ResultFolder.Row],
        _ artifacts: [ArtifactSummary]
    ) {
        var events = ResultEvents(of: folder) { complain("\(folder.url.path): \($0)") }
        let common = zip(before, rows).prefix { $0.iteration == $1.iteration && $0.values == $1.values }.count
        if common < before.count { events.resume(from: common == 0 ? -1 : rows[common - 1].iteration) }
        events.add(rows)
        for snapshot in artifacts where snapshot.role == .snapshot {
            events.addSnapshot(snapshot.iteration, at: snapshot.createdAt)
        }
    }

    private func write(log file: URL, of detail: JobDetail) async throws {
        let workers = detail.workersOfAttempts
        let new = try NewFile(at: file)
        var after: Int64 = 0
        while true {
            let page = try await api.get(
                "/api/v1/jobs/\(job.id)/logs", query: ["after": String(after)], as: LogPage.self)
            for entry in page.entries {
                try new.write(Data((LogRecord(entry, job: job.id, workers: workers).json + "\n").utf8))
            }
            guard let next = page.next else { break }
            after = next
        }
        try new.place()
    }
}

extension ResultFolder {
    /// The id of the job that was gathered into the folder, completely or not; nil if none was.
    var gatheredJob: String? { try? String(contentsOf: marker, encoding: .utf8) }

    fileprivate func claim(for job: JobSummary) throws {
        try texloom.write(Data(job.id.utf8), to: marker)
        // Without result.json the folder counts as incomplete; it is written last.
        try? FileManager.default.removeItem(at: resultJSON)
        try? FileManager.default.removeItem(at: ResultManifest.url(in: url))
    }

    /// Removes the checkpoint that an earlier gathering has left of a job that has finished since, if the coordinator has
    /// dropped the last one. The generator was not made of it, so it must not stand beside it as the run's. A checkpoint
    /// of the last iteration is the run's, and stays. Only a local training of the same recipe and exemplar could have
    /// written another one into the folder, on the way to the bytes of the generator that is there.
    fileprivate func removeCheckpoint(before lastIteration: Int) {
        let held = (try? Safetensors(contentsOf: checkpoint))?.metadata["iteration"]
        if held != String(lastIteration) { try? FileManager.default.removeItem(at: checkpoint) }
    }

    /// Gives products that an earlier release has gathered under other names the names that they have now, instead of
    /// fetching them again. What somebody has changed or moved since stays.
    fileprivate func rename(_ earlier: [ResultManifest.File], to targets: [URL: ArtifactSummary]) {
        let names = Set(targets.keys.map(\.standardizedFileURL.path))
        for (target, artifact) in targets where !FileManager.default.fileExists(atPath: target.path) {
            let held = earlier.lazy.filter { $0.role == artifact.role && $0.sha256 == artifact.sha256 }
                .map { url.appendingPathComponent($0.path).standardizedFileURL }
                .first { !names.contains($0.path) && (try? sha256(of: $0)) == artifact.sha256 }
            guard let held, (try? FileManager.default.moveItem(at: held, to: target)) != nil else { continue }
            // Of a material, the folder of the earlier name, which the last of its maps leaves empty.
            if held.deletingLastPathComponent().path != url.standardizedFileURL.path {
                rmdir(held.deletingLastPathComponent().path)
            }
        }
    }

    /// Names the job that the folder belongs to.
    private var marker: URL { url.appendingPathComponent(".job") }
}
