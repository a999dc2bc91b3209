import ArgumentParser
import Base
import Foundation
import OperatingSystem
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
            if !filter.isEmpty {
                guard !found.isEmpty else { throw CommandFailure("no job matches") }
                candidates = Set(found.map(\.id))
            }
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
            } catch let failure as CommandFailure where failure.exitCode == .tryAgain {
                away = failure
            } catch let cancellation as CancellationError {
                throw cancellation
            } catch {
                // Whatever is wrong with one folder says nothing about the others.
                complain("\(choice.resultName): \((error as? CommandFailure)?.message ?? error.systemReason)")
                failed.append(choice.resultName)
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
        var details: [String: JobDetail] = [:]
        for job in jobs where !job.isTraining && others.isDisjoint(with: job.after ?? []) {
            let training = trainings.first { $0.job.id == $0.seeds?.best && job.after?.contains($0.job.id) == true }
            guard let training, let seeds = training.seeds else {
                choices.append(Choice(job: job, resultName: job.resultName, seeds: nil))
                continue
            }
            let id = training.job.id
            if details[id] == nil { details[id] = try await api.get("/api/v1/jobs/\(id)", as: JobDetail.self) }
            let name = details[id].flatMap { SeedFolders.name(of: job, after: $0, in: seeds) }
            choices.append(Choice(job: job, resultName: name ?? job.resultName, seeds: seeds))
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
        let moved = try await makeRoom(for: choice, in: parent, api)
        let place = ResultFolder(named: choice.resultName, in: parent)
        try requireFree(place, for: job)
        let files = JobFiles(api: api, job: job, licence: licence)
        let fetched =
            try await job.isTraining
            ? files.gatherTraining(into: ResultFolder(in: parent, name: choice.resultName))
            : files.gatherProducts(into: place)
        return Gathered(
            job: job.id, state: job.state.rawValue, folder: place.url.path, filesFetched: fetched,
            seeds: job.isTraining ? choice.seeds : nil, movedAside: moved?.to)
    }

    /// Moves the results of another seed, which was the best one before, out of the folder.
    /// - Throws: `CommandFailure` if no job of the group has finished.
    private func makeRoom(for choice: Choice, in parent: URL, _ api: APIClient) async throws -> SeedFolders.Move? {
        guard let seeds = choice.seeds else { return nil }
        guard seeds.best != nil else { throw CommandFailure("nothing to gather: none has finished yet") }
        var holder = ResultFolder(named: choice.resultName, in: parent).gatheredJob
        if !choice.job.isTraining, let work = holder {
            let after = try? await api.get("/api/v1/jobs/\(work)", as: JobDetail.self).job.after
            holder = after?.first { id in seeds.jobs.contains { $0.job.id == id } }
        }
        let moved = try SeedFolders.makeRoom(at: choice.resultName, for: seeds, in: parent, heldBy: holder)
        if let moved, !client.json { say("\(moved.from) held seed \(moved.seed), which is now in \(moved.to)") }
        return moved
    }

    /// A folder holds one run: names are unique to a coordinator, not to a machine.
    private func requireFree(_ folder: ResultFolder, for job: JobSummary) throws {
        let isTaken =
            folder.gatheredJob.map { $0 != job.id } ?? FileManager.default.fileExists(atPath: folder.recipeYAML.path)
        guard !isTaken else {
            throw CommandFailure(
                "\(folder.url.path) holds another run and is left as it is; --out names another place for this one")
        }
    }
}
