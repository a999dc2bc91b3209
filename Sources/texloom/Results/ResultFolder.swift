import ClusterCore
import EventFiles
import Foundation
import NNCore
import OperatingSystem
import Plots
import Protocol
import TextureGAN

/// A gathered job: `out/NAME_result/` with `img/`, the networks, the last checkpoint, the loss plot, the log, the event
/// file, the recipe and `result.json`. The layout is that of the Chainer implementation.
struct ResultFolder {
    let url: URL

    var generator: URL { url.appendingPathComponent("generator.safetensors") }
    var discriminator: URL { url.appendingPathComponent("discriminator.safetensors") }
    var checkpoint: URL { url.appendingPathComponent("last_checkpoint.safetensors") }
    /// The checkpoint before the last, kept during training in case the last one is damaged.
    var previousCheckpoint: URL { url.appendingPathComponent("previous_checkpoint.safetensors") }
    /// The maps of the exemplar, where `texloom expand` finds them: of a gathered material, and of a trained part.
    var exemplarMaps: URL { url.appendingPathComponent("exemplar", isDirectory: true) }
    var recipeYAML: URL { url.appendingPathComponent("recipe.yaml") }
    var resultJSON: URL { url.appendingPathComponent("result.json") }
    var lossPlot: URL { url.appendingPathComponent("loss.svg") }
    var metrics: URL { url.appendingPathComponent("metrics.jsonl") }
    /// The lock of a run in this process; see `RunClaim`.
    var claim: URL { url.appendingPathComponent(".training.lock") }
    /// Holds such a run's unfinished files.
    var scratch: URL { url.appendingPathComponent(".training", isDirectory: true) }
    var log: URL { url.appendingPathComponent("log.jsonl") }
    var events: URL { url.appendingPathComponent(EventFile.name) }
    var images: URL { url.appendingPathComponent("img", isDirectory: true) }
    func snapshot(_ iteration: Int) -> URL {
        images.appendingPathComponent(String(format: "itr%08d.png", iteration))
    }

    /// The folder of a result, which need not exist.
    init(named name: String, in parent: URL) {
        // A job's name is a label for people; as a file name it must not leave its folder.
        let safe = FileName.component(name)
        let end = "_result"
        url = parent.appendingPathComponent(
            safe.shortened(to: FileName.maxBytes - end.utf8.count) + end, isDirectory: true)
    }

    /// Creates the missing folders.
    /// - Throws: `CommandFailure` naming the folder.
    init(in parent: URL, name: String) throws {
        self.init(named: name, in: parent)
        try create()
    }

    /// Creates the missing folders.
    /// - Throws: `CommandFailure` naming the folder.
    func create() throws { try create(images) }

    /// Creates the folder of a job that makes no snapshots.
    /// - Throws: `CommandFailure` naming the folder.
    func createWithoutImages() throws { try create(url) }

    /// Creates the folder of a material's maps.
    /// - Throws: `CommandFailure` naming the folder.
    func createExemplarMaps() throws { try create(exemplarMaps) }

    /// A file of the exemplar, with a name that says which map it is, whatever it was called before.
    func exemplarMap(_ file: MapFile) -> URL {
        let suffix = MaterialFiles.fileSuffix(of: file.map) ?? file.map
        let end = URL(fileURLWithPath: file.fileName).pathExtension.lowercased()
        return exemplarMaps.appendingPathComponent(
            "exemplar_\(FileName.component(suffix)).\(["jpg", "jpeg"].contains(end) ? end : "png")")
    }

    /// Creates one of the result's folders.
    /// - Throws: `CommandFailure` naming the folder.
    func create(_ folder: URL) throws {
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        } catch {
            throw CommandFailure("\(folder.path) cannot be created: \(error.systemReason)")
        }
    }

    /// One line of metrics.jsonl.
    typealias Row = MetricsEntry

    /// The content of result.json.
    struct Result {
        let job: String?
        let name: String
        let exemplar: String
        let startedAt: Date?
        let finishedAt: Date?
        let trainingSeconds: Double?
        let worker: String?
        let attempts: Int
        /// The trainer's own report, JSON text, embedded as it is.
        let report: String?
    }

    func write(recipe yaml: String) throws { try texloom.write(Data(yaml.utf8), to: recipeYAML) }

    /// Moves a reported file to its place.
    func take(_ kind: TrainingRun.ArtifactKind, iteration: Int, file: URL) throws {
        let target: URL =
            switch kind {
            case .snapshot: snapshot(iteration)
            case .checkpoint: checkpoint
            case .generator: generator
            case .discriminator: discriminator
            }
        if kind == .checkpoint { _ = rename(checkpoint.path, previousCheckpoint.path) }
        guard rename(file.path, target.path) == 0 else {
            throw CommandFailure("\(target.path) cannot be written: \(reasonOfSystem(errno))")
        }
    }

    /// Writes metrics.jsonl and loss.svg.
    func write(metrics rows: [Row]) throws {
        try texloom.write(Data(rows.map { $0.line + "\n" }.joined().utf8), to: metrics)
        try drawPlot(of: rows)
    }

    /// Writes loss.svg.
    func drawPlot(of rows: [Row]) throws {
        let plot = LossPlot.svg(rows.map { ($0.iteration, $0.values) }, title: url.lastPathComponent)
        try texloom.write(Data(plot.utf8), to: lossPlot)
    }

    func readMetrics() -> [Row] {
        guard let text = try? String(contentsOf: metrics, encoding: .utf8) else { return [] }
        return text.split(separator: "\n").compactMap { Row(line: $0) }
    }

    /// The fingerprint of the exemplar that the folder's networks were trained on; nil without networks.
    func exemplarOfNetworks() -> String? {
        for file in [checkpoint, previousCheckpoint, generator] {
            if let exemplar = (try? Safetensors(contentsOf: file))?.metadata["exemplar"] { return exemplar }
        }
        return nil
    }

    /// The snapshots in `img/`, ascending, and when each was written.
    func snapshots() -> [(iteration: Int, time: Date)] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: images.path)) ?? []
        return names.sorted().compactMap { name in
            guard let match = name.wholeMatch(of: /itr(\d+)\.png/), let iteration = Int(match.1) else { return nil }
            let attributes = try? FileManager.default.attributesOfItem(atPath: snapshot(iteration).path)
            return (iteration, attributes?[.modificationDate] as? Date ?? Date())
        }
    }

    /// Writes result.json with the digests of the networks; its presence says that the folder is complete. The coordinator
    /// may have dropped the checkpoint (`--checkpoint-days`, `--quota`).
    func finish(_ result: Result) throws {
        let hasCheckpoint = FileManager.default.fileExists(atPath: checkpoint.path)
        var object: [String: Any] = [
            "name": result.name, "exemplar": result.exemplar, "attempts": result.attempts,
            "artifacts": try Dictionary(
                uniqueKeysWithValues: ([generator, discriminator] + (hasCheckpoint ? [checkpoint] : [])).map {
                    ($0.lastPathComponent, ["sha256": try sha256(of: $0)])
                }),
        ]
        let dates = ISO8601DateFormatter()
        object["job"] = result.job
        object["worker"] = result.worker
        object["training_seconds"] = result.trainingSeconds
        object["started_at"] = result.startedAt.map(dates.string(from:))
        object["finished_at"] = result.finishedAt.map(dates.string(from:))
        if let report = result.report { object["report"] = try? JSONSerialization.jsonObject(with: Data(report.utf8)) }
        let data = try JSONSerialization.data(
            withJSONObject: object, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
        try texloom.write(data, to: resultJSON)
        try? FileManager.default.removeItem(at: previousCheckpoint)
    }

    /// What result.json says of the figures; nil without them.
    var verdict: String? {
        guard let data = try? Data(contentsOf: resultJSON),
            let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any]
        else { return nil }
        return (object["report"] as? [String: Any])?["verdict"] as? String
    }

    func openLog() throws -> ResultLog { try ResultLog(log) }
}

extension MetricsEntry {
    init(iteration: Int, unixSeconds: Double, _ columns: [String], _ values: [Float]) {
        self.init(
            iteration: iteration, unixSeconds: unixSeconds,
            values: Dictionary(zip(columns, values), uniquingKeysWith: { first, _ in first }))
    }

    /// A line of metrics.jsonl: iteration, time and every finite value.
    var line: String {
        let fields = values.filter(\.value.isFinite).sorted { $0.key < $1.key }.map { "\"\($0.key)\":\($0.value)" }
        return "{"
            + (["\"iteration\":\(iteration)", "\"unix_seconds\":\(unixSeconds)"] + fields).joined(separator: ",") + "}"
    }

    init?(line: Substring) {
        guard let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
            let iteration = object["iteration"] as? Int
        else { return nil }
        var values: [String: Float] = [:]
        for (key, value) in object where key != "iteration" && key != "unix_seconds" {
            values[key] = (value as? NSNumber)?.floatValue
        }
        self.init(
            iteration: iteration, unixSeconds: (object["unix_seconds"] as? NSNumber)?.doubleValue ?? 0, values: values)
    }
}

/// log.jsonl of a result folder.
struct ResultLog {
    private let handle: FileHandle

    init(_ url: URL) throws {
        if !FileManager.default.fileExists(atPath: url.path) { try texloom.write(Data(), to: url) }
        guard let handle = FileHandle(forWritingAtPath: url.path) else {
            throw CommandFailure("\(url.path) cannot be written")
        }
        handle.seekToEndOfFile()
        self.handle = handle
    }

    func write(_ record: LogRecord) throws { try handle.write(contentsOf: Data((record.json + "\n").utf8)) }
}
