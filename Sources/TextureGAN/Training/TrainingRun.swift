import Foundation
import Imaging
import NNCore

/// A training run: one exemplar and one recipe, from the start or a checkpoint to the end, with reports on the way.
///
/// `run` blocks for hours, so it needs a thread of its own. `texloom train` and the worker call it.
public enum TrainingRun {
    public struct Input: Sendable {
        public enum Source: Sendable {
            /// PNG or JPEG by content.
            case photograph(URL)
            case material(MaterialFiles)
        }

        public var exemplar: Source
        /// The exemplar's name in messages: the file name that the user gave.
        public var exemplarName: String
        public var recipe: Recipe
        /// A checkpoint of the same exemplar and recipe to resume from.
        public var checkpoint: URL?
        public var threads: Int
        /// An existing folder for the reported files. The receiver of a report owns its file and removes it.
        public var folder: URL
        /// The last iteration of the checkpoint's loss history whose row is known to have arrived; the run reports
        /// later rows again. `.max`: all rows arrived; 0: none is known to have.
        public var historyArrivedUntil: Int
        /// Runs that share this process, including this one.
        public var concurrentRuns: Int

        public init(
            exemplar: Source, exemplarName: String, recipe: Recipe, checkpoint: URL? = nil, threads: Int, folder: URL,
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
        /// One value for each of `Trainer.columns`, followed by `QualityFigures.columns` in the row of a snapshot.
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

    public enum LogLevel: String, Sendable { case info, error }

    /// What the owner wants the run to do; asked after every iteration.
    public enum Wish: Sendable { case proceed, checkpointAndStop, abandon }

    /// How long a run retries files that its folder refuses: a full disk must not cost the training.
    struct Patience: Sendable {
        /// Time between two attempts.
        var interval = Duration.seconds(5)
        /// How long the run retries its last files, unless it is asked to stop. Before the end training continues
        /// without the files.
        var atTheEnd = Duration.seconds(30 * 60)
        /// How long a run that is asked to stop retries its checkpoint.
        var whenStopping = Duration.seconds(10)
        /// Time between two signs of progress of a long computation.
        var betweenSigns = Duration.seconds(60)
    }

    /// How a run ended; a failure is thrown.
    public enum Outcome: Sendable {
        /// Generator, discriminator and last checkpoint are reported as artifacts.
        case finished(iteration: Int, trainingSeconds: Double, reportJSON: String)
        /// A checkpoint of this iteration is reported.
        case stopped(iteration: Int)
        /// The owner wished it, or the wished checkpoint could not be written.
        case abandoned
    }
}

/// Why training cannot start or continue.
public struct TrainingError: Error, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable {
        case badExemplar, badRecipe, badCheckpoint, badWeights, notFinite, fileSystem
        /// A checkpoint whose checksum is wrong; the previous one may be good.
        case damagedCheckpoint
        /// A checkpoint of another version of texloom that this version cannot read.
        case foreignCheckpoint
    }
    public var code: Code
    public var message: String
    /// For fileSystem: bytes that the run needs on the disk; 0 if unknown.
    public var neededBytes: UInt64 = 0
    /// Whether another attempt, perhaps on another worker, may succeed.
    public var isRetryable: Bool
    public var description: String { message }

    public init(_ code: Code, _ message: String, isRetryable: Bool = false) {
        self.code = code
        self.message = message
        self.isRetryable = isRetryable
    }

    /// - Parameters:
    ///   - code: for contents that are wrong. A file that the system does not give may be good: that is fileSystem, and
    ///     another attempt may succeed.
    ///   - isRetryable: likewise for the contents.
    init(_ code: Code, for error: SafetensorsError, _ message: String, isRetryable: Bool = false) {
        let isMalformed = error.code == .malformed
        self.init(isMalformed ? code : .fileSystem, message, isRetryable: !isMalformed || isRetryable)
    }

    /// A picture that the system does not give may be good. Any other fault of it stays.
    init(_ error: ImagingError) {
        let isUnreadable = error.code == .unreadable
        self.init(isUnreadable ? .fileSystem : .badExemplar, error.message, isRetryable: isUnreadable)
    }
}
