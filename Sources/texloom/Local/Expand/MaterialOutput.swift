import Foundation
import Imaging
import OperatingSystem
import TextureGAN

/// The files of a material in a folder: a PNG for each map, all written row by row, and a MaterialX file.
///
/// A folder that does not exist is created by ``open()``, so a refusal of the work leaves none behind.
final class MaterialOutput: ResultFiles {
    private typealias File = (kind: MapKind, depth: Int, output: PictureOutput)

    private let layout: MapLayout
    private let folder: String
    private let name: String
    private let width: Int
    private let height: Int
    /// Bits of a sample in each map's file, in the layout's order.
    private let depths: [Int]
    private let inputs: [String]
    /// Empty until ``open()``.
    private var files: [File] = []

    /// - Parameters:
    ///   - folder: its name begins the files' names.
    ///   - depth: bits of all maps; nil for those of the input.
    /// - Throws: `CommandFailure` for a file or folder that cannot be written.
    init(
        _ folder: String, _ material: Material, width: Int, height: Int, depth: Int?, sparing inputs: [String]
    ) throws {
        layout = material.layout
        self.folder = folder
        name = FileName.last(of: folder)
        self.width = width
        self.height = height
        depths = material.depths.map { depth ?? $0 }
        self.inputs = inputs
        // The dot, because a file is no folder.
        if access(FileName.plain(folder).path + "/.", F_OK) == 0 {
            _ = try outputs()
        } else {
            try requirePlace()
        }
    }

    /// Checks that the folder can be created: what exists of its path has to be a folder and writable.
    private func requirePlace() throws {
        var existing = FileName.plain(folder).standardizedFileURL
        while !FileManager.default.fileExists(atPath: existing.path) { existing.deleteLastPathComponent() }
        guard access(existing.path + "/.", W_OK | X_OK) == 0 else { throw failure(reasonOfSystem(errno)) }
    }

    /// The files in the existing folder, checked.
    private func outputs() throws -> [File] {
        try zip(layout.maps, depths).map { kind, depth in
            let output = try PictureOutput(
                "\(folder)/\(kind.fileName(of: name))", width: width, height: height, bitDepth: depth,
                channels: kind.channels, isSRGB: kind == .albedo, sparing: inputs)
            return (kind, depth, output)
        }
    }

    private func failure(_ reason: String) -> CommandFailure {
        CommandFailure("\(folder) cannot be made a folder: \(reason); give another -o", exit: .usage)
    }

    func open() throws {
        do {
            try FileManager.default.createDirectory(at: FileName.plain(folder), withIntermediateDirectories: true)
        } catch { throw failure(error.systemReason) }
        files = try outputs()
        for file in files { try file.output.open() }
    }

    func write<Sample: PictureSample>(_ rows: UnsafeBufferPointer<Sample>) throws {
        try rows.withMemoryRebound(to: UInt16.self) { rows in
            for (kind, depth, output) in files {
                if depth == 16 {
                    let samples: [UInt16] = layout.samples(of: kind, in: rows)
                    try samples.withUnsafeBufferPointer { try output.write($0) }
                } else {
                    let samples: [UInt8] = layout.samples(of: kind, in: rows)
                    try samples.withUnsafeBufferPointer { try output.write($0) }
                }
            }
        }
    }

    func finish() throws {
        for file in files { try file.output.finish() }
        try writeDescription()
    }

    var written: [WrittenPicture] {
        files.map { kind, depth, output in
            WrittenPicture(path: output.path, map: kind, depth: depth, sha256: output.sha256)
        }
    }

    private func writeDescription() throws {
        let maps = layout.maps.map { ($0, $0.fileName(of: name)) }
        try OutputFile("\(folder)/\(name).mtlx").write(Data(MaterialX.document(name: name, maps: maps).utf8))
    }

    /// Writes a material as it is.
    static func write(_ material: Material, to folder: URL) throws {
        let output = try MaterialOutput(
            folder.path, material, width: material.pixels.width, height: material.pixels.height, depth: nil, sparing: []
        )
        try output.open()
        try material.pixels.pixels.withUnsafeBufferPointer { try output.write($0) }
        try output.finish()
    }
}
