import ClusterCore
import Foundation
import Protocol
import TextureGAN
import Transport

/// What trains: `TrainingRun`, or a stand-in.
protocol AttemptTrainer: Sendable {
    /// Blocking; called on a thread of its own.
    func train(
        recipeYAML: String, input: TrainingRunner.Input, wish: () -> TrainingRun.Wish,
        report: (TrainingRun.Report) -> Void
    ) throws(TrainingError) -> TrainingRun.Outcome
}

/// Trains with `TrainingRun`.
struct TextureTrainer: AttemptTrainer {
    func train(
        recipeYAML: String, input: TrainingRunner.Input, wish: () -> TrainingRun.Wish,
        report: (TrainingRun.Report) -> Void
    ) throws(TrainingError) -> TrainingRun.Outcome {
        let recipe = try Recipe(yaml: recipeYAML, source: "recipe of \(input.exemplarName)")
        return try TrainingRun.run(
            TrainingRun.Input(
                exemplar: try .given(input.exemplar, maps: input.maps, name: input.exemplarName),
                exemplarName: input.exemplarName, recipe: recipe,
                checkpoint: input.checkpoint, threads: input.threads, folder: input.folder,
                historyArrivedUntil: input.repeatsHistory ? 0 : .max, concurrentRuns: input.concurrentRuns),
            wish: wish, report: report)
    }
}

/// One attempt's training, on a thread of its own.
struct TrainingRunner: Sendable {
    struct Input: Sendable {
        /// A photograph, or the albedo of a material.
        var exemplar: URL
        /// The file name that the user gave, or the material's name.
        var exemplarName: String
        /// The files of a material, the albedo among them; empty for a photograph.
        var maps: [MaterialFiles.Given] = []
        var checkpoint: URL?
        var threads: Int
        /// Where the trainer writes its files.
        var folder: URL
        /// Whether the checkpoint comes from an earlier process of this worker. The metrics in it may never have been
        /// reported.
        var repeatsHistory = false
        /// How many trainings run at the same time.
        var concurrentRuns = 1
    }

    let wish: CurrentWish

    /// Starts the thread; every event goes to `post`, the last one is `.ended`.
    func start(
        _ ref: AttemptReference, recipeYAML: String, input: Input, trainer: any AttemptTrainer,
        post: @escaping @Sendable (WorkerState.Event) -> Void
    ) {
        let thread = Thread { [self] in
            var failure: TransportError?
            var pace = MovingAverage()
            let ending: WorkerState.Ending
            do throws(TrainingError) {
                let outcome = try trainer.train(
                    recipeYAML: recipeYAML, input: input,
                    wish: { failure == nil ? TrainingRun.Wish(wish.value) : .abandon },
                    report: { report in
                        do throws(TransportError) {
                            post(try Self.event(report, ref, &pace))
                        } catch {
                            failure = error
                        }
                    })
                ending =
                    switch outcome {
                    case .finished(let iteration, let seconds, let json):
                        .finished(iteration: iteration, trainingSeconds: seconds, reportJSON: json)
                    case .stopped(let iteration): .stopped(iteration: iteration)
                    case .abandoned: .abandoned
                    }
            } catch {
                post(
                    .ended(
                        ref,
                        .failed(
                            code: FailureCode(error.code), reason: error.message, isRetryable: error.isRetryable,
                            neededBytes: Int(clamping: error.neededBytes))))
                return
            }
            if let failure {
                post(.ended(ref, .failed(code: .fileSystem, reason: failure.message, isRetryable: true)))
            } else {
                post(.ended(ref, ending))
            }
        }
        thread.name = "texloom-train"
        thread.stackSize = 8 << 20
        thread.start()
    }

    private static func event(
        _ report: TrainingRun.Report, _ ref: AttemptReference, _ pace: inout MovingAverage
    ) throws(TransportError) -> WorkerState.Event {
        switch report {
        case .started(let iteration, let total):
            return .iterated(ref, iteration: iteration, totalIterations: total, secondsPerIteration: 0)
        case .iterated(let iteration, let seconds):
            // Iterations differ, so the status gives the average time of one.
            if seconds.isFinite, seconds > 0 { pace.add(seconds) }
            return .iterated(ref, iteration: iteration, totalIterations: nil, secondsPerIteration: pace.value)
        case .metrics(let columns, let rows):
            let rows = rows.map {
                MetricsBlock.Row(iteration: $0.iteration, unixSeconds: $0.unixSeconds, values: $0.values)
            }
            return .metrics(ref, MetricsBlock(columns: columns, rows: rows))
        case .artifact(let kind, let iteration, let file):
            guard let role = ArtifactRole(rawValue: kind.rawValue) else {
                throw TransportError(
                    .fileSystem, "a trainer made a \(kind.rawValue), which the cluster has no role for")
            }
            // Hashes hundreds of megabytes on this thread, not on the thread that sends heartbeats.
            return .spooled(
                ref, role, iteration: iteration, try ArtifactFile.identify(file), file: file.lastPathComponent)
        case .log(let level, let message):
            let line = LogLine(unixSeconds: Date().timeIntervalSince1970, level: LogLevel(level), message: message)
            return .log(ref, line)
        }
    }
}

extension LogLevel {
    fileprivate init(_ level: TrainingRun.LogLevel) {
        self =
            switch level {
            case .info: .info
            case .error: .error
            }
    }
}

extension TrainingRun.Input.Source {
    /// - Parameter maps: The files of a material; empty for a photograph.
    /// - Throws: `TrainingError` (badExemplar) for maps that make no material.
    static func given(
        _ exemplar: URL, maps: [MaterialFiles.Given], name: String
    ) throws(TrainingError) -> TrainingRun.Input.Source {
        maps.isEmpty ? .photograph(exemplar) : .material(try MaterialFiles(name: name, files: maps))
    }
}

extension TrainingRun.Wish {
    fileprivate init(_ wish: TrainerWish) {
        self =
            switch wish {
            case .proceed: .proceed
            case .checkpointAndStop: .checkpointAndStop
            case .abandon: .abandon
            }
    }
}

extension FailureCode {
    init(_ code: TrainingError.Code) { self.init(rawValue: code.rawValue) }
}
