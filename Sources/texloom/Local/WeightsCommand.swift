import ArgumentParser
import Foundation
import NNCore
import OperatingSystem
import TextureGAN

struct WeightsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weights", abstract: "Lists, verifies and converts the feature weights of the style loss.",
        discussion: """
            vgg16 comes with scripts/setup. vgg19, the paper's, is torchvision's, which you download once (550 MB):

              curl -LO https://download.pytorch.org/models/vgg19-dcbb9e9d.pth
              texloom weights --convert vgg19-dcbb9e9d.pth

            The same weights as safetensors will do, too. Converting a .pth needs python3, but not PyTorch.
            """)

    @Option(help: ArgumentHelp("Convert a torchvision VGG19 checkpoint.", valueName: "file"))
    var convert: String?

    @Flag(help: "Print JSON.")
    var json = false

    /// The checksum of the file that scripts/setup makes, which pins the same one.
    static let pinnedSHA256: [FeatureNetwork: String] = [
        .vgg16: "c9a06090f3d8de31648b124c15e672f0d14301f84e06250e11412a0853ccd193"
    ]

    private struct Entry: Encodable {
        var network: String
        var file: String
        var installed: Bool
        /// Whether the file holds every tensor up to the last tap; nil if it does not exist.
        var complete: Bool?
        var problem: String?
        var source: String?
        var input: String?
        var sha256: String?
    }

    func run() throws {
        if let convert {
            let url = try VGG19Conversion.run(URL(fileURLWithPath: convert))
            if !json { say("vgg19: \(url.path)") }
        }
        let entries = try FeatureNetwork.allCases.map(entry)
        if json { try sayJSON(entries) }
        for entry in entries where !json {
            guard entry.installed else {
                say(
                    "\(entry.network)  not installed: \(entry.network == "vgg16" ? "scripts/setup" : "see 'texloom weights --help'")"
                )
                continue
            }
            say("\(entry.network)  \(entry.problem ?? "complete"), \(entry.file)")
            say("       from \(entry.source ?? "an unnamed source"), trained on \(entry.input ?? "unknown") input")
            say("       SHA-256 \(entry.sha256 ?? "")")
        }
        if entries.contains(where: { $0.complete == false }) { throw ExitCode(CommandExit.failed.rawValue) }
    }

    private func entry(_ network: FeatureNetwork) throws -> Entry {
        let url = FeatureWeights.url(of: network)
        var entry = Entry(
            network: network.rawValue, file: url.path, installed: FileManager.default.fileExists(atPath: url.path))
        guard entry.installed else { return entry }
        entry.sha256 = try sha256(of: url)
        do {
            let file = try Safetensors(contentsOf: url)
            entry.source = file.metadata["source"]
            entry.input = file.metadata["input"]
            _ = try VGGFeatures(network, taps: 5, input: .raw, weights: .file(url))
            entry.complete = true
            if let expected = Self.pinnedSHA256[network], entry.sha256 != expected {
                entry.complete = false
                entry.problem = "not what scripts/setup makes (expected SHA-256 \(expected)); run it again"
            }
        } catch {
            entry.complete = false
            entry.problem = "damaged (\(error))"
        }
        return entry
    }
}

/// torchvision's VGG19 (`features.N.weight`) as feature weights.
enum VGG19Conversion {
    /// torchvision names its files by the first digits of their SHA-256.
    private static let officialPrefix = "dcbb9e9d"
    /// The index of each convolution in torchvision's `features`.
    private static let layers: [(index: Int, name: String)] = {
        var result: [(Int, String)] = []
        var index = 0
        for (block, count) in [2, 2, 4, 4, 4].enumerated() {
            for convolution in 1...count {
                result.append((index, "conv\(block + 1)_\(convolution)"))
                index += 2  // the ReLU
            }
            index += 1  // the pooling
        }
        return result
    }()

    /// - Throws: `CommandFailure` naming the file and what is wrong with it.
    static func run(_ source: URL) throws -> URL {
        do {
            guard try fileExists(at: source) else { throw CommandFailure("\(source.path) does not exist") }
        } catch let failure as FileFailure {
            throw CommandFailure("\(failure)")
        }
        let sum = try sha256(of: source)
        let isPickle = ["pth", "pt"].contains(source.pathExtension.lowercased())
        if source.lastPathComponent.contains(officialPrefix), !sum.hasPrefix(officialPrefix) {
            throw CommandFailure(
                "\(source.path) has the SHA-256 \(sum), which does not begin with \(officialPrefix) as its name promises: "
                    + "the download is incomplete or altered")
        }
        let scratch = FileManager.default.temporaryDirectory.appendingPathComponent("texloom-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: scratch, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: scratch) }
        var plain = source
        if isPickle {
            plain = scratch.appendingPathComponent("weights.safetensors")
            try unpickle(source, to: plain)
        }
        do {
            let file = try Safetensors(contentsOf: plain)
            var writer = SafetensorsWriter(metadata: [
                "format": "texloom-features-1", "network": "vgg19", "input": "torchvision",
                "source": "torchvision, \(source.lastPathComponent)", "source_sha256": sum,
            ])
            for (index, name) in layers {
                for kind in ["weight", "bias"] {
                    let key = "features.\(index).\(kind)"
                    let values = try file.floats(key)
                    writer.add("\(name).\(kind)", shape: file.entries[key]?.shape ?? []) { values }
                }
            }
            let target = FeatureWeights.url(of: .vgg19)
            let checked = scratch.appendingPathComponent("vgg19.safetensors")
            try writer.write(to: checked)
            _ = try VGGFeatures(.vgg19, taps: 5, input: .torchvision, weights: .file(checked))
            try FileManager.default.createDirectory(
                at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
            try write(try Data(contentsOf: checked), to: target)
            return target
        } catch let error as SafetensorsError {
            guard error.code == .malformed else { throw CommandFailure("\(error)") }
            let format = try Safetensors.otherFormat(of: Data(contentsOf: plain, options: .mappedIfSafe))
            let fault =
                format.map { "\($0), not torchvision's VGG19" } ?? "not torchvision's VGG19: \(error.problem)"
            throw CommandFailure(
                "\(source.path) is \(fault); expected vgg19-dcbb9e9d.pth ('texloom weights --help')")
        }
    }

    /// Runs the converter, which reads a checkpoint's tensors without executing its code.
    private static func unpickle(_ source: URL, to target: URL) throws {
        // The script is embedded, so that the program is one file to install.
        let script = target.deletingLastPathComponent().appendingPathComponent("read_pth.py")
        try write(Data(PackageResources.read_pth_py), to: script)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", script.path, source.path, target.path]
        let errors = Pipe()
        process.standardError = errors
        do {
            try process.run()
        } catch {
            throw CommandFailure("python3 cannot be started: \(error.systemReason)")
        }
        let message = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            let last = message.split(separator: "\n").last.map(String.init) ?? "python3 failed"
            throw CommandFailure("\(source.path): \(last)")
        }
    }
}
