import ArgumentParser
import Foundation
import Imaging
import NNCore
import TextureGAN

struct TrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Trains one exemplar in this process, without a cluster.",
        discussion: """
            Leaves a folder out/NAME_result/ with snapshots, the generator, a plot of the losses, TensorBoard's events \
            and the last checkpoint. Interrupted (Ctrl-C, SIGTERM), it saves a checkpoint and exits with 85; started \
            again with the same recipe it goes on from there, bit for bit. If the last checkpoint is damaged, it goes on \
            from the one before.
            """)

    @Argument(help: "The exemplar: PNG or JPEG.", completion: .file())
    var exemplar: String

    @OptionGroup var recipeOptions: RecipeOptions

    @Option(name: .shortAndLong, help: "The folder that NAME_result/ goes into. Default: out.")
    var out: String?

    @Option(help: "What to call the result. Default: the file's name without its extension.")
    var name: String?

    @Option(help: "Threads. Default: TEXLOOM_THREADS, or all cores. The result does not depend on it.")
    var threads: Int?

    @Flag(help: "Print metrics as JSON lines instead of progress.")
    var json = false

    func validate() throws {
        try requireThreads(threads)
    }

    func run() throws {
        let recipe = try recipeOptions.resolve()
        let (url, _) = FileName.opened(exemplar)
        let image = try loadImage(exemplar)
        _ = try recipe.cropSize(forWidth: image.width, height: image.height, exemplar: exemplar)
        let name = self.name ?? FileName.stem(of: exemplar)
        let folder = try ResultFolder(in: outFolder(out), name: name)
        let scratch = folder.url.appendingPathComponent(".training")
        try? FileManager.default.removeItem(at: scratch)
        try FileManager.default.createDirectory(at: scratch, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: scratch) }

        let checkpoint = try newestWholeCheckpoint(in: folder)
        if let checkpoint {
            try requireSameRun(checkpoint, Exemplar(image, name: exemplar), recipe, folder)
            if FileManager.default.fileExists(atPath: folder.resultJSON.path) {
                if !json {
                    say("\(folder.url.path) is finished already; --set seed=N with --name gives another variation")
                }
                return
            }
        }
        try folder.write(recipe: recipe.yaml())
        let input = TrainingRun.Input(
            exemplar: url, exemplarName: FileName.last(of: exemplar), recipe: recipe, checkpoint: checkpoint,
            threads: try chosenThreads(threads), folder: scratch)
        let stop = StopSignals()
        let progress = TrainingProgress(total: recipe.iterations, quiet: json)
        let log = try folder.openLog()
        var events = ResultEvents(of: folder) { message in
            try? log.write(LogRecord(time: Date(), level: "warning", process: "train", message: message))
            complain(message)
        }
        var failure: (any Error)?
        var reached = 0
        let began = Date()
        let outcome = try TrainingRun.run(
            input, wish: { failure != nil ? .abandon : stop.received ? .checkpointAndStop : .proceed }
        ) { report in
            guard failure == nil else { return }
            do {
                switch report {
                case .started(let iteration, _):
                    reached = iteration
                    events.goOn(from: iteration)
                    if iteration > 0 { events.catchUp(to: iteration) }
                    if iteration > 0, !json { say("going on from iteration \(iteration)") }
                case .iterated(let iteration, let seconds):
                    reached = iteration
                    progress.iterated(iteration, seconds: seconds)
                case .metrics(let columns, let rows):
                    let entries = rows.map {
                        ResultFolder.Row(iteration: $0.iteration, unixSeconds: $0.unixSeconds, columns, $0.values)
                    }
                    try folder.append(entries)
                    events.add(entries)
                    if json { for entry in entries { say(entry.line) } }
                    progress.measured(columns, rows.last?.values ?? [])
                case .artifact(let kind, let iteration, let file):
                    try folder.take(kind, iteration: iteration, file: file)
                    if kind == .snapshot { events.addSnapshot(iteration, at: Date()) }
                case .log(let level, let message):
                    try log.write(
                        LogRecord(
                            time: Date(), level: level.rawValue, process: "train", message: message,
                            fields: ["iteration": .integer(Int64(reached))]))
                    if !json { say(message) }
                }
            } catch {
                failure = error
            }
        }
        progress.end()
        if let failure { throw failure }
        switch outcome {
        case .finished(_, let trainingSeconds, let reportJSON):
            try folder.finish(
                ResultFolder.Result(
                    job: nil, name: name, exemplar: FileName.last(of: exemplar), startedAt: began, finishedAt: Date(),
                    trainingSeconds: trainingSeconds, worker: ProcessInfo.processInfo.hostName, attempts: 1,
                    report: reportJSON))
            if !json { say("done: \(folder.url.path)") }
        case .stopped(let iteration):
            throw CommandFailure(
                "stopped at iteration \(iteration) with a checkpoint; the same command goes on from there",
                exit: .checkpointed)
        case .abandoned: break
        }
    }

    /// The last checkpoint, or the one before if the last is damaged or was about to be replaced; nil in a folder that
    /// has none.
    private func newestWholeCheckpoint(in folder: ResultFolder) throws -> URL? {
        var damage: CommandFailure?
        for file in [folder.checkpoint, folder.previousCheckpoint]
        where FileManager.default.fileExists(atPath: file.path) {
            do {
                guard try Safetensors(contentsOf: file).sumIsRight != false else {
                    throw SafetensorsError(file: file.path, problem: "is damaged, its sum is wrong")
                }
                return file
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
    private func requireSameRun(
        _ checkpoint: URL, _ exemplar: Exemplar, _ recipe: Recipe, _ folder: ResultFolder
    ) throws {
        let held = try Safetensors(contentsOf: checkpoint).metadata
        let heldRecipe = try held["recipe"].map { try Recipe(yaml: $0, source: checkpoint.path) }
        guard held["exemplar"] == exemplar.fingerprint, heldRecipe == recipe else {
            throw CommandFailure(
                "\(folder.url.path) holds a run of another exemplar or recipe; --name or --out gives this one a folder "
                    + "of its own", exit: .usage)
        }
    }
}
