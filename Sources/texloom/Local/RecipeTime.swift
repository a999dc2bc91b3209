import Base
import Foundation
import Machine
import Protocol
import TextureGAN

extension MeasuredSpeed {
    /// Measures if the machine has twice the memory that the measurement takes.
    /// - Throws: `TrainingError`, or `CommandFailure` if there is too little memory.
    static func fitting(
        _ recipe: Recipe, width: Int, height: Int, layout: MapLayout = .picture, threads: Int, by clock: Clock
    ) throws -> MeasuredSpeed {
        let k = try recipe.cropSize(forWidth: width, height: height, exemplar: "the exemplar")
        let needed = try recipe.trainingBytes(
            width: 2 * k, height: 2 * k, layout: layout, exemplar: "the exemplar")
        guard needed < MachineAllowance.current.memoryBytes / 2 else {
            throw CommandFailure("measuring '\(recipe.name)' takes \(needed >> 20) MiB of memory, more than half of it")
        }
        return try measure(recipe, width: width, height: height, layout: layout, threads: threads, by: clock)
    }
}

extension TrainingTime {
    /// "on 2 threads of this machine".
    static func place(threads: Int) -> String { "on \(counted(threads, "thread")) of this machine" }

    func expected(_ place: String) -> ExpectedTime {
        ExpectedTime(
            seconds: seconds, secondsPerIteration: secondsPerIteration, source: .measurement, place: place)
    }
}

/// How long a recipe takes, as `texloom recipes --time --json` prints it.
struct RecipeTime: Codable {
    var name: String
    /// The exemplar's size in pixels.
    var width: Int
    var height: Int
    var threads: Int
    var iterations: Int
    var secondsPerIteration: Double?
    var snapshots: Int
    var secondsPerSnapshot: Double?
    /// The time of the whole training.
    var seconds: Double?
    /// Why there is no measurement.
    var problem: String?

    init(measuring recipe: Recipe, width: Int, height: Int, threads: Int) {
        self.width = width
        self.height = height
        self.threads = threads
        name = recipe.name
        iterations = recipe.iterations
        snapshots = recipe.snapshots(after: 0)
        do {
            // A single thread on its own core takes the same time, whatever else runs here now.
            let speed = try MeasuredSpeed.fitting(
                recipe, width: width, height: height, threads: threads, by: threads == 1 ? .processor : .wall)
            let time = speed.time(of: recipe, width: width, height: height)
            secondsPerIteration = time.secondsPerIteration
            secondsPerSnapshot = time.secondsPerSnapshot
            seconds = time.seconds
        } catch {
            problem = "\(error)"
        }
    }

    /// - Parameter place: the measured machine, appended to the time.
    /// - Returns: nil without a measurement.
    func expected(_ place: String? = nil) -> ExpectedTime? {
        guard let seconds, let secondsPerIteration else { return nil }
        return ExpectedTime(
            seconds: seconds, secondsPerIteration: secondsPerIteration, source: .measurement, place: place)
    }

    /// Measures a named recipe on one thread in its own process, whose memory does not count against this process. Blocks
    /// for seconds.
    /// - Parameter program: the running program, even if its file was replaced.
    static func measureInChild(
        _ name: String, program: URL = URL(fileURLWithPath: "/proc/self/exe")
    ) -> RecipeTime? {
        let child = Process()
        child.executableURL = program
        child.arguments = ["recipes", name, "--time", "--json", "--threads", "1"]
        let output = Pipe()
        child.standardOutput = output
        child.standardError = FileHandle.nullDevice
        child.standardInput = FileHandle.nullDevice
        do { try child.run() } catch { return nil }
        let data = output.fileHandleForReading.readDataToEndOfFile()
        child.waitUntilExit()
        guard child.terminationStatus == 0 else { return nil }
        return (try? JSONDecoder().decode([RecipeTime].self, from: data))?.first
    }
}
