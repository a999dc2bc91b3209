import Foundation
import NNCore

/// Reads a checkpoint field by field. Errors name the file, what it has and what was expected.
struct CheckpointReader {
    let file: Safetensors
    let url: URL

    init(_ file: Safetensors, _ url: URL) {
        self.file = file
        self.url = url
    }

    func text(_ key: String) throws(SafetensorsError) -> String {
        guard let value = file.metadata[key] else { throw malformed("lacks '\(key)': not a texloom checkpoint") }
        return value
    }

    func number<Number: LosslessStringConvertible & Comparable>(
        _ key: String, in range: ClosedRange<Number>
    ) throws(SafetensorsError) -> Number {
        let value = try text(key)
        guard let number = Number(value), range.contains(number) else {
            throw malformed(
                "'\(key)' is '\(value)', expected a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func expect(_ key: String, _ value: String, _ explanation: String) throws(SafetensorsError) {
        guard try text(key) == value else { throw malformed(explanation) }
    }

    /// What is wrong with a file of another format.
    var anotherFormat: String {
        "is of format '\(file.metadata["format"] ?? "?")', expected \(Checkpoint.format)"
    }

    /// The rows of the loss history.
    func history() throws(SafetensorsError) -> [TrainingRun.MetricsRow] {
        let values = try file.doubles("history")
        let width = 2 + Trainer.columns.count
        guard let shape = file.entries["history"]?.shape, shape.count == 2, shape[1] == width else {
            throw malformed("has a loss history of another version")
        }
        var rows: [TrainingRun.MetricsRow] = []
        for start in stride(from: 0, to: values.count, by: width) {
            guard let iteration = Int(exactly: values[start]) else {
                throw malformed("has a loss history with iteration \(values[start])")
            }
            rows.append(
                TrainingRun.MetricsRow(
                    iteration: iteration, unixSeconds: values[start + 1],
                    values: values[start + 2..<start + width].map { Float($0) }))
        }
        return rows
    }

    func malformed(_ problem: String) -> SafetensorsError {
        SafetensorsError(.malformed, file: url.path, problem: problem)
    }
}
