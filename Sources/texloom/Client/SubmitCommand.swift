import ArgumentParser
import ClusterCore
import Foundation
import Imaging
import OperatingSystem
import Protocol
import TextureGAN

struct SubmitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "submit", abstract: "Gives photographs and materials to the coordinator, one job each.",
        discussion: """
            Takes files, folders (every image in them, recognised by its content) and patterns ('photos/*.jpg'). A folder with \
            the maps of a material, which 'texloom train' recognises by their names, is one job; so is each such folder in \
            a folder. --map names the maps of one material instead (docs/materials.md). Hidden files in folders are \
            skipped; each other file is accepted or refused with a reason. Submitting the same exemplar with the same \
            recipe again returns the job that is there: equal recipes give equal generators, so use --set seed=N for \
            another variation, or --seeds N for several to choose from ('texloom gather --best'). Those are named bricks, \
            bricks-seed2, bricks-seed3, and every exemplar's first seed comes before the second one of any.

            A batch holds jobs together: list, watch, gather, cancel, retry and the dashboard take it as a whole. --sweep \
            tries the values of recipe fields, every combination as a job of the batch with its values as labels:

              texloom submit photos/ --batch walls --sweep k=32,64 --sweep seed=1..4
              texloom gather --batch walls --label k=64

            --then says what the workers do with each trained generator: make pictures, or write it for other programs. \
            The pictures are those that 'texloom expand' would make with the same options. These jobs wait until the \
            training has finished. If it fails or is cancelled, they are blocked until it is retried. 'texloom gather' \
            fetches their products too. Submit again with another --then to add work to jobs that are there.

              texloom submit photos/*.jpg --then expand:size=4096x4096,seamless
              texloom submit Bricks076/ --then expand:seamless
            """)

    @Argument(help: "Files, folders or patterns.", completion: .file())
    var paths: [String] = []

    @OptionGroup var maps: MapOptions

    @OptionGroup var recipeOptions: RecipeOptions

    @OptionGroup var framing: FramingOptions

    @Option(
        help: """
            What to call the job, for a single file or material. Default: the file's name without its extension, with its folder's \
            name before it where several files have the same name.
            """)
    var name: String?

    @Option(help: "Jobs for each exemplar: one with the recipe's seed, the others with the seeds after it.")
    var seeds = 1

    @Option(help: "Puts the jobs into the batch of this name.")
    var batch: String?

    @Option(
        name: .customLong("label"),
        help: ArgumentHelp("Gives the jobs a label; may be repeated.", valueName: "key=value"))
    var labels: [String] = []

    @Option(
        name: .customLong("sweep"),
        help: ArgumentHelp(
            "Tries these values of a recipe field (k=32,64 or seed=1..4); may be repeated, for every combination.",
            valueName: "field=values"))
    var sweeps: [String] = []

    @Option(help: "Higher runs first, -100 to 100.")
    var priority = 0

    @Option(name: .customLong("then"), help: FollowingWork.help, transform: { try FollowingWork($0) })
    var following: [FollowingWork] = []

    @OptionGroup var client: ClientOptions

    /// The outcome for one file.
    private struct Outcome: Encodable {
        var file: String
        var accepted: Bool
        var job: String?
        var resultName: String?
        var seed: UInt64?
        /// The job's labels.
        var labels: [String: String]?
        var alreadyExisted: Bool?
        var state: JobState?
        var reason: String?
        /// What decoding and framing changed in the file's pixels.
        var notes: [String]?
        /// Of a material.
        var maps: [String]?
        var obstacle: String?
        /// For a new job.
        var expected: ExpectedTime?
        /// The jobs of --then.
        var followers: [AcceptedJob]?
    }

    /// The jobs that a later try may submit.
    private struct Postponed {
        /// The file at which the coordinator went away, and how that showed. Nothing is tried after it.
        var away: (file: String, failure: CommandFailure)?
        /// That one and those after it.
        var unsent = 0
        /// Those for which the coordinator has no room now. It may have room for smaller files.
        var withoutRoom = 0
        var count: Int { unsent + withoutRoom }
    }

    /// An exemplar that the coordinator has stored.
    private struct Stored {
        var file: String
        /// For the job of the first seed.
        var name: String
        var exemplar: SubmittedExemplar
        var files: SubmittedExemplar.Stored
        var notes: [String]
    }

    func validate() throws {
        try maps.require(instead: paths.first, "files, folders or patterns")
        try JobName.validate(name)
        guard (1...1000).contains(seeds) else { throw ValidationError("--seeds \(seeds): expected 1 to 1000") }
        try requirePriority(priority)
        let tags = try JobTags(batch: batch, labels: labels)
        let sweeps = try self.sweeps.map(Sweep.init)
        try Sweep.validate(sweeps, seeds: seeds, batch: batch)
        if let field = sweeps.map(\.field).first(where: { tags.labels[$0] != nil }) {
            throw ValidationError("--label \(field) and --sweep \(field) give a job two labels of one key")
        }
    }

    func run() async throws {
        let variants = try RecipeVariant.all(
            of: try recipeOptions.resolve(), try sweeps.map(Sweep.init), seeds: seeds)
        let api = try client.client()
        var outcomes: [Outcome] = []
        var times = SubmissionTimes()
        var postponed = Postponed()
        func add(_ outcome: Outcome) {
            outcomes.append(outcome)
            if !client.json { say(describe(outcome)) }
        }
        func attempt(_ file: String, _ body: () async throws -> Outcome) async {
            let outcome = await outcome(of: file, &postponed, body)
            // The last words tell what the coordinator's absence postpones.
            if postponed.away == nil { add(outcome) } else { outcomes.append(outcome) }
        }
        let candidates =
            maps.maps.isEmpty ? ExemplarFiles.collect(paths) : [.material(maps.materialName)]
        if name != nil, candidates.count > 1 {
            throw CommandFailure("--name goes with a single file; there are \(candidates.count)", exit: .usage)
        }
        var names = ExemplarNames.together(
            candidates.compactMap {
                switch $0 {
                case .file(let path), .material(let path): path
                case .refused: nil
                }
            }
        ).makeIterator()
        // The files of further jobs, with what is stored of them.
        var files: [(file: String, exemplar: Stored?)] = []
        for candidate in candidates {
            switch candidate {
            case .refused(let file, let reason):
                add(Outcome(file: FileName.readable(file), accepted: false, reason: reason))
            case .file(let file), .material(let file):
                let name = self.name ?? names.next() ?? ""
                var stored: Stored?
                await attempt(file) {
                    let exemplar = try await store(candidate, file, name, variants, in: api)
                    stored = exemplar
                    try await times.ask(api)
                    return try await submit(exemplar, variants[0], &times, to: api)
                }
                // Printed once.
                stored?.notes = []
                if stored != nil || postponed.away != nil { files.append((file, stored)) }
            }
        }
        for variant in variants.dropFirst() {
            for (file, exemplar) in files {
                // Without an exemplar, the coordinator is away and nothing is tried.
                await attempt(file) { try await submit(exemplar!, variant, &times, to: api) }
            }
        }
        if postponed.away == nil { times.measure() }
        if client.json {
            let expected = times.expected
            for index in outcomes.indices { outcomes[index].expected = outcomes[index].job.flatMap { expected[$0] } }
            try sayJSON(outcomes)
        }
        let accepted = outcomes.count { $0.accepted }
        if !client.json, outcomes.count > 1 {
            say("\(accepted) accepted, \(outcomes.count - accepted - postponed.unsent) refused")
            if postponed.count > 0 {
                say(
                    "\(postponed.count) of \(outcomes.count) "
                        + (postponed.count == 1
                            ? "was not submitted; the same command submits it"
                            : "were not submitted; the same command submits them"))
            }
        }
        if let (file, failure) = postponed.away {
            throw CommandFailure("\(file): \(failure.message)", exit: failure.exitCode)
        }
        if !client.json, let text = times.text { say(text) }
        if postponed.count > 0 { throw ExitCode(CommandExit.tryAgain.rawValue) }
        if accepted < outcomes.count { throw ExitCode(CommandExit.failed.rawValue) }
    }

    /// The outcome for a file, or why it is refused. Nothing is tried while the coordinator is away.
    private func outcome(
        of file: String, _ postponed: inout Postponed, _ body: () async throws -> Outcome
    ) async -> Outcome {
        let shown = FileName.readable(file)
        func refused(_ reason: String) -> Outcome {
            Outcome(file: shown, accepted: false, reason: FileName.readable(reason))
        }
        if let (_, failure) = postponed.away {
            postponed.unsent += 1
            return refused(failure.message)
        }
        do {
            return try await body()
        } catch let failure as CommandFailure {
            if failure.exitCode == .tryAgain {
                if failure.status == 507 {
                    postponed.withoutRoom += 1
                } else {
                    postponed.unsent += 1
                    postponed.away = (shown, failure)
                }
            }
            return refused(failure.message)
        } catch {
            return refused(error.systemReason)
        }
    }

    /// Sends an exemplar.
    /// - Throws: `TrainingError` if it is too small for every variant.
    private func store(
        _ candidate: ExemplarFiles.Candidate, _ file: String, _ name: String, _ variants: [RecipeVariant],
        in api: APIClient
    ) async throws -> Stored {
        let exemplar =
            if case .material = candidate, let files = try maps.files(orFolder: maps.maps.isEmpty ? file : nil) {
                try SubmittedExemplar(files, framing.framing)
            } else {
                try SubmittedExemplar(photograph: file, framing.framing)
            }
        let (width, height) = (exemplar.width, exemplar.height)
        let fits = variants.map { variant in
            Result {
                try variant.recipe.cropSize(
                    forWidth: width, height: height, exemplar: framing.named(FileName.readable(file)))
            }
        }
        if !fits.contains(where: { (try? $0.get()) != nil }) { _ = try fits[0].get() }
        for work in following {
            try work.check(FileName.readable(file), width: width, height: height, exemplar.layout)
        }
        return Stored(
            file: file, name: name, exemplar: exemplar, files: try await exemplar.send(to: api), notes: exemplar.notes)
    }

    /// An older coordinator takes the albedo for a photograph.
    private func requireMaps(of job: AcceptedJob, in api: APIClient) async throws {
        let detail = try await api.get("/api/v1/jobs/\(job.id)", as: JobDetail.self)
        guard detail.maps == nil else { return }
        if !job.alreadyExisted {
            _ = try await api.post(
                "/api/v1/jobs/\(job.id)/cancel", query: ["reason": "the coordinator knows no materials"],
                as: JobSummary.self)
        }
        throw CommandFailure(
            "the coordinator is of an older texloom and knows no materials, so it would train the albedo alone; upgrade it, "
                + "then submit again (\(job.id)\(job.alreadyExisted ? " is a job of the albedo" : " is cancelled"))")
    }

    private func submit(
        _ stored: Stored, _ variant: RecipeVariant, _ times: inout SubmissionTimes, to api: APIClient
    ) async throws -> Outcome {
        let (recipe, shown, exemplar) = (variant.recipe, FileName.readable(stored.file), stored.exemplar)
        let tags = try JobTags(batch: batch, labels: labels)
        let labels = tags.labels.merging(variant.labels) { $1 }
        let submission = JobSubmission(
            name: JobName.shortened(stored.name, suffix: variant.suffix),
            fileName: FileName.shortened(exemplar.fileName), exemplarSHA256: stored.files.sha256,
            recipeYAML: recipe.yaml(), priority: priority, once: true,
            needs: try JobNeeds(
                of: recipe, width: exemplar.width, height: exemplar.height, layout: exemplar.layout, exemplar: shown),
            batch: batch, labels: labels.isEmpty ? nil : labels,
            then: following.isEmpty
                ? nil : following.map { $0.followUp(ofMaterial: exemplar.layout.isMaterial) },
            maps: stored.files.maps)
        let answer = try await api.post(
            "/api/v1/jobs", body: SubmitJobsRequest(jobs: [submission]), as: SubmitJobsResponse.self)
        guard let job = answer.jobs.first else { throw CommandFailure("the coordinator accepted nothing") }
        if exemplar.layout.isMaterial { try await requireMaps(of: job, in: api) }
        times.add(job, recipe, width: exemplar.width, height: exemplar.height, layout: exemplar.layout)
        return Outcome(
            file: shown, accepted: true, job: job.id, resultName: job.resultName,
            seed: recipe.seed, labels: labels.isEmpty ? nil : labels, alreadyExisted: job.alreadyExisted,
            state: job.state,
            notes: stored.notes.isEmpty ? nil : stored.notes,
            maps: exemplar.layout.isMaterial ? exemplar.layout.maps.map(\.rawValue) : nil, obstacle: job.obstacle,
            followers: try job.followers(of: following))
    }

    private func describe(_ outcome: Outcome) -> String {
        guard outcome.accepted else {
            let (file, reason) = (outcome.file.printable, (outcome.reason ?? "").printable)
            // Most reasons begin with the file's name.
            let namesFile = ["\(file) ", "\(file): "].contains { reason.hasPrefix($0) }
            return "refused   " + (namesFile ? reason : "\(file): \(reason)")
        }
        var known = outcome.alreadyExisted == true ? "  (was submitted before)" : ""
        if let state = outcome.state, state.canBeRetried {
            known =
                "  (was submitted before and is \(state.rawValue): 'texloom retry \(outcome.job ?? "")' runs it again)"
        }
        let remarks =
            ((outcome.notes ?? []) + [outcome.obstacle].compactMap { $0 }).map { "\n          \($0.printable)" }
            .joined() + (outcome.followers ?? []).map { "\n\($0.lineOfFollower.printable)" }.joined()
        let name = (outcome.resultName ?? "").printable
        let seed = seeds > 1 ? outcome.seed.map { ", seed \($0)" } ?? "" : ""
        let maps = outcome.maps.map { ", maps \($0.joined(separator: ", "))" } ?? ""
        return "accepted  \(outcome.file.printable) as \(outcome.job ?? "") (\(name)\(seed)\(maps))\(known)\(remarks)"
    }
}
