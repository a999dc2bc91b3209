import EventFiles
import Foundation
import Protocol

/// The TensorBoard event file of a result folder. A failure is reported and costs nothing else.
struct ResultEvents {
    private let folder: ResultFolder
    private let warn: (String) -> Void
    /// Nil after a failed write; the next run catches up.
    private var file: EventFile?

    init(of folder: ResultFolder, warn: @escaping (String) -> Void) {
        self.folder = folder
        self.warn = warn
        do {
            file = try EventFile(goingOnWith: folder.events)
        } catch {
            warn("TensorBoard's file is not written: \(error)")
        }
    }

    /// Training resumes from an iteration: the file's later records no longer count.
    mutating func resume(from iteration: Int) {
        guard let file, file.lastStep > iteration || file.pictures.contains(where: { $0 > iteration }) else { return }
        append([Event(wallTime: Date().timeIntervalSince1970, step: iteration + 1, .start(note: "resumed"))])
    }

    /// Adds what the file lacks of the folder's records up to an iteration.
    mutating func catchUp(to iteration: Int) {
        add(folder.readMetrics().filter { $0.iteration <= iteration })
        for (snapshot, time) in folder.snapshots() where snapshot <= iteration { addSnapshot(snapshot, at: time) }
    }

    /// Adds the rows that the file lacks.
    mutating func add(_ rows: [MetricsEntry]) {
        guard let file else { return }
        append(
            rows.filter { $0.iteration > file.lastStep && !$0.values.isEmpty }.map {
                Event.measurements(iteration: $0.iteration, unixSeconds: $0.unixSeconds, values: $0.values)
            })
    }

    /// Adds a snapshot of `img/` if the file lacks it.
    mutating func addSnapshot(_ iteration: Int, at time: Date) {
        guard let file, iteration > file.pictures.max() ?? -1 else { return }
        do {
            append([
                try Event.snapshot(
                    iteration: iteration, unixSeconds: time.timeIntervalSince1970, file: folder.snapshot(iteration))
            ])
        } catch {
            warn("\(error)")
        }
    }

    private mutating func append(_ events: [Event]) {
        do {
            try file?.append(events)
        } catch {
            file = nil
            warn("TensorBoard's file is no longer written: \(error)")
        }
    }
}
