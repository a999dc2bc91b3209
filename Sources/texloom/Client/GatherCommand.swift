import ArgumentParser
import Base
import Foundation
import Protocol

struct GatherCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gather", abstract: "Fetches finished jobs into out/NAME_result/ folders.",
        discussion: """
            The folder of a training holds img/ (snapshots), generator, discriminator, last checkpoint (unless the \
            coordinator has dropped it), loss.svg, log, recipe, TensorBoard's events ('tensorboard --logdir out') and result.json. The folder of a job that --then added \
            (bricks-expand_result) holds its pictures or the exported generator, and the log. Of a material, exemplar/ holds \
            the maps that were submitted, and the maps that a worker has made are in a folder as 'texloom expand' writes it. manifest.json in each folder \
            lists the files with their sizes and SHA-256, the figures and the recipe. Files that are there with the right \
            digest are not fetched again, so gathering can be repeated and interrupted. Two jobs of the same name get \
            folders of their own (bricks, bricks-2). A folder that holds another run is left as it is; the others are \
            gathered all the same, and the command ends with 1.

            With --best, jobs of one exemplar that differ in the seed alone ('texloom submit --seeds 4') are shown side by \
            side, and only the finished one with the lowest score is fetched, into the folder of their first \
            (bricks_result). When a better one finishes later, the one before moves to a folder of its seed \
            (bricks-seed2_result). What was made of the best one has the group's name as well (bricks-expand_result).
            """)

    @Argument(help: "Only these jobs, by id or name. Default: every finished one.")
    var jobs: [String] = []

    @OptionGroup var filter: FilterOptions

    @Option(name: .shortAndLong, help: "Where the folders go. Default: TEXLOOM_OUT, or out.")
    var out: String?

    @Flag(help: "Also gather unfinished jobs, with the files that they have so far.")
    var unfinished = false

    @Flag(help: "Of jobs that differ only in the seed, gather just the best by the quality figures.")
    var best = false

    @Option(help: "The licence of the results, for manifest.json: CC0-1.0, for example.")
    var licence: String?

    @OptionGroup var client: ClientOptions

    private struct Gathered: Encodable {
        var job: String
        var state: String
        var folder: String
        var filesFetched: Int
        /// The group that it was chosen from.
        var seeds: SeedGroup?
        /// The new place of an earlier best job's folder.
        var movedAside: String?
    }

    /// A job to fetch.
    private struct Choice {
        var job: JobSummary
        var resultName: String
        /// The group of the job, or of the training that it works on.
        var seeds: SeedGroup?
    }

    func validate() throws {
        guard jobs.isEmpty || filter.isEmpty else {
            throw ValidationError("ids and names go without --batch and --label")
        }
        if best, unfinished {
            throw ValidationError("--best chooses among finished jobs; leave --unfinished out")
        }
    }

    func run() async throws {
        let api = try client.client()
        var chosen: [JobSummary] = []
        // Of a batch, the best is one of its own jobs.
        var candidates: Set<String>?
        if jobs.isEmpty {
            let found = try await api.jobs(JobFilter(tags: try filter.tags()))
            if !filter.isEmpty { candidates = Set(found.map(\.id)) }
            chosen = found.filter { $0.state == .finished || unfinished && $0.isTraining }.reversed()
        } else {
            for word in jobs {
                let job = try await api.job(word)
                if !chosen.contains(where: { $0.id == job.id }) { chosen.append(job) }
            }
        }
        if chosen.isEmpty, !client.json {
            say(
                "nothing to gather: no job has finished yet ('texloom watch' shows progress; --unfinished takes what unfinished jobs have)"
            )
        }
        let parent = try outFolder(out)
        var gathered: [Gathered] = []
        var failed: [String] = []
        let choices =
            try await best
            ? bestOnes(of: chosen, among: candidates, api)
            : chosen.map { Choice(job: $0, resultName: $0.resultName, seeds: nil) }
        var away: CommandFailure?
        for choice in choices where away == nil {
            do {
                if let seeds = choice.seeds, choice.job.isTraining, !client.json { show(SeedComparison(group: seeds)) }
                let result = try await gather(choice, into: parent, api)
                gathered.append(result)
                if !client.json {
                    say("\(result.folder): \(result.state), \(counted(result.filesFetched, "file")) fetched")
                }
            } catch let failure as CommandFailure where failure.exitCode == .failed {
                complain("\(choice.resultName): \(failure.message)")
                failed.append(choice.resultName)
            } catch let failure as CommandFailure where failure.exitCode == .tryAgain {
                away = failure
            }
        }
        if client.json { try sayJSON(gathered) }
        if let away { throw away }
        guard failed.isEmpty else {
            throw CommandFailure(
                "\(failed.count) of \(counted(choices.count, "job")) could not be gathered: "
                    + failed.joined(separator: ", "))
        }
    }

    /// The best job of each group that the jobs belong to; any job of a group in which none has finished.
    /// - Parameter candidates: ids; nil: the whole group.
    private func bestOnes(
        of jobs: [JobSummary], among candidates: Set<String>?, _ api: APIClient
    ) async throws -> [Choice] {
        var choices: [Choice] = []
        var seen: Set<String> = []
        for job in jobs where job.isTraining && !seen.contains(job.id) {
            let whole = try await api.get("/api/v1/jobs/\(job.id)/seeds", as: SeedGroup.self)
            let group = candidates.map(whole.only) ?? whole
            seen.formUnion(group.jobs.map(\.job.id))
            let best = group.jobs.first { $0.job.id == group.best }?.job
            choices.append(Choice(job: best ?? job, resultName: group.resultName, seeds: group))
        }
        // What was made of the others stays where it is.
        let trainings = choices
        let others = seen.subtracting(trainings.map(\.job.id))
        for job in jobs where !job.isTraining && others.isDisjoint(with: job.after ?? []) {
            let training = trainings.first { $0.job.id == $0.seeds?.best && job.after?.contains($0.job.id) == true }
            let name = training.flatMap { training in
                training.seeds.map { SeedFolders.name(of: job, after: training.job, in: $0) }
            }
            choices.append(Choice(job: job, resultName: name ?? job.resultName, seeds: training?.seeds))
        }
        return choices
    }

    private func show(_ comparison: SeedComparison) {
        guard comparison.group.jobs.count > 1 else { return }
        let paints = TerminalFeatures(descriptor: STDOUT_FILENO).hasColours
        for line in comparison.lines(width: terminalSize(STDOUT_FILENO)?.columns) { say(line.text(paints: paints)) }
    }

    private func gather(_ choice: Choice, into parent: URL, _ api: APIClient) async throws -> Gathered {
        let job = choice.job
        var moved: SeedFolders.Move?
        if let seeds = choice.seeds {
            guard seeds.best != nil else { throw CommandFailure("nothing to gather: none has finished yet") }
            var holder = holder(of: ResultFolder(named: choice.resultName, in: parent))
            if !job.isTraining, let work = holder {
                let after = try? await api.get("/api/v1/jobs/\(work)", as: JobDetail.self).job.after
                holder = after?.first { id in seeds.jobs.contains { $0.job.id == id } }
            }
            moved = try SeedFolders.makeRoom(at: choice.resultName, for: seeds, in: parent, heldBy: holder)
            if let moved, !client.json { say("\(moved.from) held seed \(moved.seed), which is now in \(moved.to)") }
        }
        try requireFree(ResultFolder(named: choice.resultName, in: parent), for: job)
        if !job.isTraining {
            let folder = ResultFolder(named: choice.resultName, in: parent)
            return try await gatherProducts(of: job, into: folder, moved: moved, api)
        }
        let folder = try ResultFolder(in: parent, name: choice.resultName)
        try claim(folder, for: job)
        let detail = try await api.get("/api/v1/jobs/\(job.id)", as: JobDetail.self)
        let artifacts = try await api.get("/api/v1/jobs/\(job.id)/artifacts", as: ArtifactList.self).artifacts
        var fetched = 0
        // Of several artifacts of a kind (checkpoints), the last one is the newest.
        var targets: [URL: ArtifactSummary] = [:]
        for artifact in artifacts.sorted(by: { $0.iteration < $1.iteration }) {
            switch artifact.kind {
            case .snapshot: targets[folder.snapshot(artifact.iteration)] = artifact
            case .generator: targets[folder.generator] = artifact
            case .discriminator: targets[folder.discriminator] = artifact
            case .checkpoint: targets[folder.checkpoint] = artifact
            // The albedo is among the maps.
            case .exemplar where detail.maps != nil: break
            case .map:
                guard let maps = detail.maps, maps.indices.contains(artifact.iteration - 1) else { break }
                targets[folder.exemplarMap(maps[artifact.iteration - 1])] = artifact
            case .exemplar:
                let name = URL(fileURLWithPath: job.fileName).lastPathComponent
                targets[folder.url.appendingPathComponent(FileName.shortened("exemplar-\(name)"))] = artifact
            case .picture, .model, .material: break
            }
        }
        if detail.maps != nil { try folder.createExemplarMaps() }
        for (file, artifact) in targets.sorted(by: { $0.key.path < $1.key.path }) {
            if try await api.fetch(artifact, to: file) { fetched += 1 }
        }
        try folder.write(recipe: detail.recipeYAML)
        let rows = try await metrics(of: job, api)
        let before = folder.readMetrics()
        try folder.write(metrics: rows)
        writeEvents(in: folder, rows, replacing: before, artifacts)
        try await write(log: folder.log, of: detail, api)
        if job.state == .finished {
            try folder.finish(
                ResultFolder.Result(
                    job: job.id, name: job.name, exemplar: job.fileName, startedAt: job.startedAt,
                    finishedAt: job.finishedAt, trainingSeconds: detail.trainingSeconds, worker: job.worker,
                    attempts: detail.attempts.count, report: detail.reportJSON))
        }
        try ResultManifest(detail, targets, licence: licence).write(in: folder.url)
        return Gathered(
            job: job.id, state: job.state.rawValue, folder: folder.url.path, filesFetched: fetched, seeds: choice.seeds,
            movedAside: moved?.to)
    }

    private func gatherProducts(
        of job: JobSummary, into folder: ResultFolder, moved: SeedFolders.Move?, _ api: APIClient
    ) async throws -> Gathered {
        guard job.state == .finished else {
            let reason = job.reason.map { ": \($0)" } ?? ""
            throw CommandFailure("nothing to gather: it is \(job.state.rawValue)\(reason)")
        }
        try folder.createWithoutImages()
        try claim(folder, for: job)
        let detail = try await api.get("/api/v1/jobs/\(job.id)", as: JobDetail.self)
        let artifacts = try await api.get("/api/v1/jobs/\(job.id)/artifacts", as: ArtifactList.self).artifacts
        let targets = ProductNames(job, reportJSON: detail.reportJSON).targets(of: artifacts, in: folder.url)
        for parent in Set(targets.keys.map { $0.deletingLastPathComponent() }) {
            try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
        }
        var fetched = 0
        for (file, artifact) in targets.sorted(by: { $0.key.path < $1.key.path }) {
            if try await api.fetch(artifact, to: file) { fetched += 1 }
        }
        try await write(log: folder.log, of: detail, api)
        try ResultManifest(detail, targets, licence: licence).write(in: folder.url)
        return Gathered(
            job: job.id, state: job.state.rawValue, folder: folder.url.path, filesFetched: fetched,
            movedAside: moved?.to)
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
        for snapshot in artifacts.sorted(by: { $0.iteration < $1.iteration }) where snapshot.kind == .snapshot {
            events.addSnapshot(snapshot.iteration, at: snapshot.createdAt)
        }
    }

    /// A folder holds one run: names are unique to a coordinator, not to a machine.
    private func requireFree(_ folder: ResultFolder, for job: JobSummary) throws {
        let isTaken =
            holder(of: folder).map { $0 != job.id } ?? FileManager.default.fileExists(atPath: folder.recipeYAML.path)
        guard !isTaken else {
            throw CommandFailure(
                "\(folder.url.path) holds another run and is left as it is; --out names another place for this one")
        }
    }

    /// The id of the job that was gathered into a folder, completely or not; nil if none was.
    private func holder(of folder: ResultFolder) -> String? {
        try? String(contentsOf: marker(of: folder), encoding: .utf8)
    }

    private func claim(_ folder: ResultFolder, for job: JobSummary) throws {
        try texloom.write(Data(job.id.utf8), to: marker(of: folder))
        // Without result.json the folder counts as incomplete; it is written last.
        try? FileManager.default.removeItem(at: folder.resultJSON)
        try? FileManager.default.removeItem(at: ResultManifest.url(in: folder.url))
    }

    /// Notes in the folder which job it belongs to.
    private func marker(of folder: ResultFolder) -> URL { folder.url.appendingPathComponent(".job") }

    private func metrics(of job: JobSummary, _ api: APIClient) async throws -> [ResultFolder.Row] {
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

    private func write(log file: URL, of detail: JobDetail, _ api: APIClient) async throws {
        let workers = detail.workersOfAttempts
        let new = try NewFile(at: file)
        var after: Int64 = 0
        while true {
            let page = try await api.get(
                "/api/v1/jobs/\(detail.job.id)/logs", query: ["after": String(after)], as: LogPage.self)
            for entry in page.entries {
                try new.write(Data((LogRecord(entry, job: detail.job.id, workers: workers).json + "\n").utf8))
            }
            guard let next = page.next else { break }
            after = next
        }
        try new.place()
    }
}
