import Foundation
import Imaging
import OperatingSystem
import TextureGAN

/// The files of a material in a folder: a PNG for each map, all written row by row, and a MaterialX file.
struct MaterialOutput: ResultFiles {
    private let layout: MapLayout
    private let folder: String
    private let name: String
    private let files: [(kind: MapKind, depth: Int, output: PictureOutput)]

    /// - Parameters:
    ///   - folder: is created if it does not exist. Its name begins the files' names.
    ///   - depth: bits of all maps; nil for those of the input.
    /// - Throws: `CommandFailure` for a file or folder that cannot be written.
    init(
        _ folder: String, _ material: Material, width: Int, height: Int, depth: Int?, sparing inputs: [String]
    ) throws {
        layout = material.layout
        self.folder = folder
        let name = FileName.last(of: folder)
        self.name = name
        do {
            try FileManager.default.createDirectory(at: FileName.plain(folder), withIntermediateDirectories: true)
        } catch {
            throw CommandFailure(
                "\(folder) cannot be made a folder: \(error.systemReason); give another -o", exit: .usage)
        }
        files = try zip(layout.maps, material.depths).map { kind, own in
            let path = "\(folder)/\(kind.fileName(of: name))"
            let output = try PictureOutput(
                path, width: width, height: height, bitDepth: depth ?? own, channels: kind.channels,
                isSRGB: kind == .albedo, sparing: inputs)
            return (kind, depth ?? own, output)
        }
    }

    func open() throws { for file in files { try file.output.open() } }

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
