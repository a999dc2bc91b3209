import Base
import Foundation
import TextureGAN

/// Progress: one line that is rewritten on a terminal, or a line every half minute elsewhere.
final class TrainingProgress {
    private let total: Int
    private let quiet: Bool
    private let isTerminal = TerminalFeatures(descriptor: STDOUT_FILENO).canDraw
    private var last = ContinuousClock.now - .seconds(60)
    private var pace: TrainingPace
    private var lastIteration = ContinuousClock.now
    private var losses = ""

    /// - Parameter expected: how long the whole training will take, if known.
    init(_ recipe: Recipe, expected: TrainingTime?, quiet: Bool) {
        total = recipe.iterations
        pace = TrainingPace(recipe, expected: expected)
        self.quiet = quiet
    }

    /// The remaining time, from the expected and the measured times.
    func remaining(after iteration: Int) -> TrainingTime { pace.remaining(after: iteration) }

    /// The last snapshot is complete, with its figures and its file.
    func tookSnapshot() { pace.tookSnapshot(seconds: (ContinuousClock.now - lastIteration) / .seconds(1)) }

    func iterated(_ iteration: Int, seconds: Double) {
        pace.iterated(seconds: seconds)
        let now = ContinuousClock.now
        lastIteration = now
        guard !quiet, now - last > (isTerminal ? .milliseconds(250) : .seconds(30)) || iteration == total else {
            return
        }
        last = now
        // The last snapshot, its figures and the files follow the last iteration.
        let left = iteration == total ? "finishing" : "\(Readable.duration(remaining(after: iteration).seconds)) left"
        let line =
            "\(progressBar(Double(iteration) / Double(total), width: 24)) \(iteration)/\(total)  "
            + "\(String(format: "%.1f", 1 / pace.secondsPerIteration)) it/s  \(losses)  \(left)"
        if isTerminal {
            show("\r\u{1B}[K\(line)")
        } else {
            say(line)
        }
    }

    func measured(_ columns: [String], _ values: [Float]) {
        let shown = ["l1": "l1", "style": "style", "adversarial": "adv", "discriminator_fake": "d"]
        losses = zip(columns, values).compactMap { column, value in
            shown[column].map { "\($0) \(String(format: "%.3g", value))" }
        }.joined(separator: " ")
    }

    func end() {
        if isTerminal && !quiet { say() }
    }
}
