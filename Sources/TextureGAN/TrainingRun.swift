import Foundation

/// Trains one job from its start or a checkpoint to its end, reporting on the way.
///
/// Blocking, for hours: give it a thread of its own. Used by `texloom train` and by the worker.
public enum TrainingRun {
    public struct Input: Sendable {
        /// The exemplar's file (PNG or JPEG, told by content).
        public var exemplar: URL
        /// What to call it in messages: the file's name as the user knows it.
        public var exemplarName: String
        public var recipe: Recipe
        /// A checkpoint of the same exemplar and recipe to go on from.
        public var checkpoint: URL?
        public var threads: Int
        /// An existing folder for the files that are reported. Whoever receives a report owns and removes the file.
        public var folder: URL
        /// The last iteration whose row of the checkpoint's loss history is known to have arrived; later rows are
        /// reported again. `.max`: all have; 0: none may have.
        public var historyArrivedUntil: Int
        /// How many runs share this process, this one included.
        public var concurrentRuns: Int

        public init(
            exemplar: URL, exemplarName: String, recipe: Recipe, checkpoint: URL? = nil, threads: Int, folder: URL,
            historyArrivedUntil: Int = .max, concurrentRuns: Int = 1
        ) {
            self.exemplar = exemplar
            self.exemplarName = exemplarName
            self.recipe = recipe
            self.checkpoint = checkpoint
            self.threads = threads
            self.folder = folder
            self.historyArrivedUntil = historyArrivedUntil
            self.concurrentRuns = concurrentRuns
        }
    }

    public enum ArtifactKind: String, Sendable { case snapshot, checkpoint, generator, discriminator }

    /// A row of the loss history.
    public struct MetricsRow: Sendable, Equatable {
        public var iteration: Int
        /// The wall clock, for display only.
        public var unixSeconds: Double
        /// One per column of `Trainer.columns`; where a snapshot was taken, of `QualityFigures.columns` as well.
        public var values: [Float]
    }

    public enum Report: Sendable {
        case started(iteration: Int, totalIterations: Int)
        /// After every iteration; cheap.
        case iterated(iteration: Int, secondsPerIteration: Double)
        case metrics(columns: [String], rows: [MetricsRow])
        /// A complete, closed file in `Input.folder`.
        case artifact(ArtifactKind, iteration: Int, file: URL)
        case log(level: LogLevel, message: String)
    }

    public enum LogLevel: String, Sendable { case debug, info, warning, error }

    /// What the owner wants of the run; asked after every iteration.
    public enum Wish: Sendable { case proceed, checkpointAndStop, abandon }

    /// What a run does while its folder takes no files: a full disk is no reason to lose what was trained.
    struct Patience: Sendable {
        /// Between two tries.
        var interval = Duration.seconds(5)
        /// How long the last files are tried, unless the run is to stop; meanwhile space may return. Before that training
        /// goes on without them.
        var atTheEnd = Duration.seconds(30 * 60)
        /// How long a run that is to stop tries to write its checkpoint.
        var whenStopping = Duration.seconds(10)
        /// How often something long says that it gets on.
        var betweenSigns = Duration.seconds(60)
    }

    /// How a run ended; a failure is thrown.
    public enum Outcome: Sendable {
        /// Generator, discriminator and last checkpoint have been reported as artifacts.
        case finished(iteration: Int, trainingSeconds: Double, reportJSON: String)
        /// A checkpoint of this iteration has been reported.
        case stopped(iteration: Int)
        /// As was wished, or without the checkpoint that was wished, because it could not be written.
        case abandoned
    }
}

/// Why training cannot start or go on.
public struct TrainingError: Error, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable {
        case badExemplar, badRecipe, badCheckpoint, badWeights, notFinite, fileSystem
        /// A checkpoint whose sum is wrong: the one before may be good.
        case damagedCheckpoint
        /// A checkpoint that another version of texloom wrote and this one cannot read.
        case foreignCheckpoint
    }
    public var code: Code
    public var message: String
    /// Of a file that could not be written, if that is known (fileSystem).
    public var neededBytes: UInt64 = 0
    /// Whether another attempt, perhaps on another worker, may fare better.
    public var isRetryable: Bool
    public var description: String { message }

    public init(_ code: Code, _ message: String, isRetryable: Bool = false) {
        self.code = code
        self.message = message
        self.isRetryable = isRetryable
    }
}
