import ArgumentParser
import Foundation
import Imaging
import OperatingSystem
import Protocol
import TextureGAN

struct SubmitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "submit", abstract: "Gives exemplars to the coordinator, one job each.",
        discussion: """
            Takes files, folders (every image in them, told by content) and patterns ('photos/*.jpg'). Each file is \
            accepted or refused with a reason; none is skipped silently. Submitting the same exemplar with the same \
            recipe again returns the job that is there: equal recipes give equal generators, so use --set seed=N for \
            another variation.
            """)

    @Argument(help: "Files, folders or patterns.", completion: .file())
    var paths: [String]

    @OptionGroup var recipeOptions: RecipeOptions

    @OptionGroup var framing: FramingOptions

    @Option(
        help: """
            What to call the job, for a single file. Default: the file's name without its extension, with its folder's \
            name before it where several are called the same.
            """)
    var name: String?

    @Option(help: "Higher runs first, -100 to 100.")
    var priority = 0

    @OptionGroup var client: ClientOptions

    /// What became of one file.
    private struct Outcome: Encodable {
        var file: String
        var accepted: Bool
        var job: String?
        var resultName: String?
        var alreadyExisted: Bool?
        var state: JobState?
        var reason: String?
        /// What was done to the file's own pixels.
        var notes: [String]?
        var obstacle: String?
        /// Of a new job.
        var expected: ExpectedTime?
    }

    func validate() throws {
        guard (-100...100).contains(priority) else {
            throw ValidationError("--priority \(priority): expected -100 to 100")
        }
    }

    func run() async throws {
        let recipe = try recipeOptions.resolve()
        let api = try client.client()
        var outcomes: [Outcome] = []
        var times = SubmissionTimes()
        let candidates = ExemplarFiles.collect(paths)
        if name != nil, candidates.count > 1 {
            throw CommandFailure("--name goes with a single file; there are \(candidates.count)", exit: .usage)
        }
        var names = ExemplarNames.together(
            candidates.compactMap { if case .file(let file) = $0 { file } else { nil } }
        ).makeIterator()
        for candidate in candidates {
            let outcome: Outcome
            switch candidate {
            case .refused(let file, let reason):
                outcome = Outcome(file: FileName.readable(file), accepted: false, reason: reason)
            case .file(let file): outcome = try await submit(file, name ?? names.next() ?? "", recipe, &times, to: api)
            }
            outcomes.append(outcome)
            if !client.json { say(describe(outcome)) }
        }
        times.measure()
        if client.json {
            let expected = times.expected
            for index in outcomes.indices { outcomes[index].expected = outcomes[index].job.flatMap { expected[$0] } }
            try sayJSON(outcomes)
        }
        let refused = outcomes.filter { !$0.accepted }.count
        if !client.json, outcomes.count > 1 { say("\(outcomes.count - refused) accepted, \(refused) refused") }
        if !client.json, let text = times.text { say(text) }
        if refused > 0 { throw ExitCode(CommandExit.failed.rawValue) }
    }

    private func submit(
        _ file: String, _ name: String, _ recipe: Recipe, _ times: inout SubmissionTimes, to api: APIClient
    ) async throws -> Outcome {
        let shown = FileName.readable(file)
        do {
            let framed = try FramedExemplar(file, framing.framing)
            _ = try recipe.cropSize(forWidth: framed.image.width, height: framed.image.height, exemplar: shown)
            try await times.ask(api)
            let receipt = try await api.upload(framed.data, to: "/api/v1/exemplars", as: ExemplarReceipt.self)
            let submission = JobSubmission(
                name: name, fileName: FileName.last(of: file), exemplarSHA256: receipt.sha256,
                recipeYAML: recipe.yaml(), priority: priority, once: true,
                needs: try JobNeeds(
                    of: recipe, width: framed.image.width, height: framed.image.height, exemplar: shown))
            let answer = try await api.post(
                "/api/v1/jobs", body: SubmitJobsRequest(jobs: [submission]), as: SubmitJobsResponse.self)
            guard let job = answer.jobs.first else { throw CommandFailure("the coordinator accepted nothing") }
            times.add(job, recipe, width: framed.image.width, height: framed.image.height)
            return Outcome(
                file: shown, accepted: true, job: job.id, resultName: job.resultName,
                alreadyExisted: job.alreadyExisted, state: job.state,
                notes: framed.notes.isEmpty ? nil : framed.notes, obstacle: job.obstacle)
        } catch let failure as CommandFailure where failure.exitCode == .tryAgain {
            throw failure
        } catch let failure as CommandFailure {
            return Outcome(file: shown, accepted: false, reason: failure.message)
        } catch {
            return Outcome(file: shown, accepted: false, reason: error.systemReason)
        }
    }

    private func describe(_ outcome: Outcome) -> String {
        guard outcome.accepted else {
            return "refused   \(outcome.file.printable): \((outcome.reason ?? "").printable)"
        }
        var known = outcome.alreadyExisted == true ? "  (was submitted before)" : ""
        if let state = outcome.state, state.canBeRetried {
            known =
                "  (was submitted before and is \(state.rawValue): 'texloom retry \(outcome.job ?? "")' runs it again)"
        }
        let remarks = ((outcome.notes ?? []) + [outcome.obstacle].compactMap { $0 })
            .map { "\n          \($0.printable)" }.joined()
        let name = (outcome.resultName ?? "").printable
        return "accepted  \(outcome.file.printable) as \(outcome.job ?? "") (\(name))\(known)\(remarks)"
    }
}
