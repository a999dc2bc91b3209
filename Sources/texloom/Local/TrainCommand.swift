import ArgumentParser
import ClusterCore
import Foundation
import Imaging
import NNCore
import OperatingSystem
import Protocol
import TextureGAN

struct TrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Trains one exemplar, or the maps of a material, in this process, without a cluster.",
        discussion: """
            Leaves a folder out/NAME_result/ with snapshots, the generator, a plot of the losses, TensorBoard's events \
            and the last checkpoint. Interrupted (Ctrl-C, SIGTERM, SIGHUP of a closed terminal, a batch system's SIGUSR1 \
            or SIGXCPU), it saves a checkpoint and exits with 85; started again with the same recipe, it resumes from \
            there, bit for bit. If the last checkpoint is damaged, it resumes from the one before. 'texloom generator' \
            writes the generator of an interrupted training.

            A folder of maps trains one generator for the whole material: albedo, normals, roughness, metalness, ambient \
            occlusion, displacement and opacity, told apart by their names, such as Bricks_Color.png and \
            bricks_nor_gl_1k.png. --map names the files instead (docs/materials.md).

              texloom train photo.jpg
              texloom train Bricks076/
              texloom train --map albedo=a.png --map normal-gl=n.png --name bricks

            A folder belongs to one exemplar, and to one process at a time. Where another exemplar has the folder of \
            brick/albedo.png, the result goes to out/brick_albedo_result/.
            """)

    @Argument(help: "The exemplar: PNG or JPEG, or a folder with the maps of a material.", completion: .file())
    var exemplar: String?

    @OptionGroup var maps: MapOptions

    @OptionGroup var recipeOptions: RecipeOptions

    @OptionGroup var framing: FramingOptions

    @Option(name: .shortAndLong, help: "The folder that NAME_result/ goes into. Default: TEXLOOM_OUT, or out.")
    var out: String?

    @Option(
        help:
            "What to call the result. Default: the file's name without its extension, after its folder's if necessary.")
    var name: String?

    @Option(
        help: """
            Threads. Default: TEXLOOM_THREADS, or one for each processor that may be used. The result does not depend \
            on it.
            """)
    var threads: Int?

    @Flag(
        help: """
            Print metrics as JSON lines instead of progress. The last line of a finished training has \
            "event":"finished", the result's folder, its generator and the verdict.
            """)
    var json = false

    func validate() throws {
        try requireThreads(threads)
        try JobName.validate(name)
        try maps.require(instead: exemplar, "an exemplar or a folder of maps")
    }

    func run() throws {
        let recipe = try recipeOptions.resolve()
        let threads = try chosenThreads(threads)
        let given: GivenExemplar
        do { given = try GivenExemplar(exemplar, maps, framing.framing) } catch { throw CommandFailure("\(error)") }
        let identity = given.identity
        _ = try recipe.cropSize(
            forWidth: identity.image.width, height: identity.image.height, exemplar: framing.named(identity.name))
        let (name, folder, claim) = try claimFolder(for: identity)
        defer { withExtendedLifetime(claim) {} }
        try? FileManager.default.removeItem(at: folder.scratch)
        try FileManager.default.createDirectory(at: folder.scratch, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder.scratch) }

        let checkpoint = try newestWholeCheckpoint(in: folder)
        // A gathered result may have no checkpoint: the coordinator drops them (`--checkpoint-days`, `--quota`).
        let hasGenerator = FileManager.default.fileExists(atPath: folder.generator.path)
        if let network = checkpoint ?? (hasGenerator ? folder.generator : nil) {
            try requireSameRun(network, identity, recipe, folder)
            if FileManager.default.fileExists(atPath: folder.resultJSON.path) {
                guard !json else { return try sayEnd(of: folder, verdict: folder.verdict) }
                return say("\(folder.url.path) is finished already; --set seed=N with --name gives another variation")
            }
        }
        try folder.write(recipe: recipe.yaml())
        let began = Date()
        let outcome = try train(given, recipe, from: checkpoint, in: folder, threads: threads)
        try conclude(outcome, of: given, name: name, in: folder, began: began)
    }

    /// Runs the training and writes what it reports.
    private func train(
        _ given: GivenExemplar, _ recipe: Recipe, from checkpoint: URL?, in folder: ResultFolder, threads: Int
    ) throws -> TrainingRun.Outcome {
        let signals = StopSignals { isInterruption in
            complain(
                "stopping after this iteration, with a checkpoint"
                    + (isInterruption ? "; press Ctrl-C again to end at once, without one" : ""))
        }
        // JSON lines contain no estimate, so nothing is measured for them.
        let (width, height) = (given.identity.image.width, given.identity.image.height)
        let speed =
            json
            ? nil
            : try? MeasuredSpeed.measure(
                recipe, width: width, height: height, layout: given.identity.layout, threads: threads)
        let reports = try TrainingReports(
            to: folder, recipe: recipe, expected: speed?.time(of: recipe, width: width, height: height),
            threads: threads, json: json)
        let input = TrainingRun.Input(
            exemplar: try given.source(in: folder.url), exemplarName: given.fileName, recipe: recipe,
            checkpoint: checkpoint,
            threads: threads, folder: folder.scratch, historyArrivedUntil: reports.lastMeasured)
        for note in given.unsaidNotes { reports.take(.log(level: .info, message: "\(given.fileName): \(note)")) }
        let outcome = try TrainingRun.run(
            input, wish: { reports.failure != nil ? .abandon : signals.received ? .checkpointAndStop : .proceed },
            report: reports.take)
        reports.end()
        if let failure = reports.failure { throw failure }
        return outcome
    }

    /// Writes result.json, or says why there is none.
    private func conclude(
        _ outcome: TrainingRun.Outcome, of given: GivenExemplar, name: String, in folder: ResultFolder, began: Date
    ) throws {
        switch outcome {
        case .finished(let iteration, let trainingSeconds, let reportJSON):
            try folder.finish(
                ResultFolder.Result(
                    job: nil, name: self.name ?? name, exemplar: given.fileName, startedAt: began, finishedAt: Date(),
                    trainingSeconds: trainingSeconds, worker: ProcessInfo.processInfo.hostName, attempts: 1,
                    report: reportJSON))
            let verdict = TrainingReport(reportJSON)?.verdict
            guard !json else { return try sayEnd(of: folder, verdict: verdict) }
            say("done: \(folder.url.path)")
            if let verdict { say("verdict: \(verdict)") }
            say("picture: \(folder.snapshot(iteration).path)")
            let inputs = given.identity.layout.isMaterial ? "folders of maps" : "pictures"
            say("'texloom expand' enlarges \(inputs) with \(folder.generator.path)")
        case .stopped(let iteration):
            throw CommandFailure(
                "stopped at iteration \(iteration) with a checkpoint; the same command resumes from there",
                exit: .checkpointed)
        case .abandoned:
            throw CommandFailure("stopped without a new checkpoint, which could not be written; the one before is kept")
        }
    }

    /// The last of the JSON lines.
    private func sayEnd(of folder: ResultFolder, verdict: String?) throws {
        struct End: Encodable {
            let event = "finished"
            let folder: String
            let generator: String
            let verdict: String?
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let end = End(folder: folder.url.path, generator: folder.generator.path, verdict: verdict)
        say(terminalSafe(json: try encoder.encode(end)))
    }

    /// A folder that no other exemplar and no other process uses, as long as the claim lives.
    /// - Throws: `CommandFailure` naming the holder.
    private func claimFolder(for exemplar: Exemplar) throws -> (String, ResultFolder, RunClaim) {
        let owner = RunClaim.Owner(exemplar: exemplar.fingerprint, file: exemplar.name)
        let parent = try outFolder(out)
        let names = name.map { [FileSystemName.clean($0)] } ?? ExemplarNames.folders(exemplar.name)
        // Earlier releases left characters in the folder's name that a job's folder does not have.
        let earlier = name.map { [$0] } ?? Array(ExemplarNames.candidates(exemplar.name).prefix(3))
        // The run's existing folder first, even if a better name is free now.
        let own = (names.prefix(3) + earlier).filter {
            ResultFolder(named: $0, in: parent).exemplarOfNetworks() == owner.exemplar
        }
        for name in own.prefix(1) + names {
            let folder = ResultFolder(named: name, in: parent)
            switch try RunClaim.take(folder, for: owner) {
            case .claimed(let claim):
                if name != names[0], name != earlier[0] {
                    complain("\(names[0])_result is another exemplar's; this run's folder is \(folder.url.path)")
                }
                return (name, folder, claim)
            case .busy(let holder) where self.name != nil || holder == nil || holder?.exemplar == owner.exemplar:
                throw CommandFailure(
                    "\(folder.url.path) is in use by \(holder?.description ?? "another process"); wait for it or stop it, "
                        + "or give this run a folder of its own with --name or --out", exit: .tryAgain)
            case .foreign(let holder) where self.name != nil || holder?.file == owner.file:
                throw anotherRun(folder)
            case .busy, .foreign: continue
            }
        }
        throw anotherRun(ResultFolder(named: names[0], in: parent))
    }

    private func anotherRun(_ folder: ResultFolder) -> CommandFailure {
        CommandFailure(
            "\(folder.url.path) holds a run of another exemplar or recipe; --name or --out gives this one a folder of its "
                + "own", exit: .usage)
    }

    /// The last checkpoint, or the one before if the last is damaged or was about to be replaced; nil if the folder has
    /// none.
    private func newestWholeCheckpoint(in folder: ResultFolder) throws -> URL? {
        var damage: CommandFailure?
        for file in [folder.checkpoint, folder.previousCheckpoint]
        where FileManager.default.fileExists(atPath: file.path) {
            do {
                guard try Safetensors(contentsOf: file).hasValidChecksum != false else {
                    throw SafetensorsError(
                        .malformed, file: file.path, problem: "is damaged, its sum is wrong")
                }
                return file
            } catch let error as SafetensorsError where error.code == .unreadable {
                // It may be good, and a run that resumes from the older one would replace it.
                throw CommandFailure("\(error)")
            } catch {
                complain("\(error)")
                damage = CommandFailure(
                    "no checkpoint in \(folder.url.path) is whole; remove them to train from the start")
            }
        }
        if let damage { throw damage }
        return nil
    }

    /// A folder belongs to one run: another exemplar or recipe must not write into it.
    /// - Parameter network: the run's checkpoint or generator.
    private func requireSameRun(
        _ network: URL, _ exemplar: Exemplar, _ recipe: Recipe, _ folder: ResultFolder
    ) throws {
        let held = try Safetensors(contentsOf: network).metadata
        let heldRecipe = try held["recipe"].map { try Recipe(yaml: $0, source: network.path) }
        guard held["exemplar"] == exemplar.fingerprint, heldRecipe == recipe else {
            throw anotherRun(folder)
        }
    }
}
