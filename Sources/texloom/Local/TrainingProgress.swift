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
        let line = Self.line(
            share: Double(iteration) / Double(total),
            [
                "\(iteration)/\(total)", Readable.speed(1 / pace.secondsPerIteration), left,
            ], losses: losses, columns: isTerminal ? terminalSize(STDOUT_FILENO)?.columns : nil)
        if isTerminal {
            show("\r\u{1B}[K\(line)")
        } else {
            say(line)
        }
    }

    /// In a narrow terminal the bar is shorter, and then the losses are left out: a line that wraps cannot be rewritten.
    /// - Parameter columns: of the terminal; nil: any number.
    static func line(share: Double, _ facts: [String], losses: String, columns: Int?) -> String {
        func text(_ facts: [String]) -> String { facts.filter { !$0.isEmpty }.joined(separator: "  ") }
        let full = text(facts.dropLast() + [losses] + facts.suffix(1))
        let (longest, shortest) = (24, 8)
        guard let columns else { return "\(progressBar(share, width: longest)) \(full)" }
        // The last column stays free, because some terminals wrap when it is filled. A blank follows the bar.
        let room = max(1, columns - 1)
        let shown = full.columns + 1 + shortest <= room ? full : text(facts)
        let width = min(longest, max(shortest, room - 1 - shown.columns))
        return "\(progressBar(share, width: width)) \(shown)".fitted(to: room)
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
