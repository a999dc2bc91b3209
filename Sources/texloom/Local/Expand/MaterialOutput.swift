import Foundation
import Imaging
import OperatingSystem
import TextureGAN

/// The files of a material in a folder: a PNG for each map, all written row by row, and a MaterialX file. They get their
/// names when all are complete.
///
/// A folder that does not exist is created by ``open()``, so a refusal of the work leaves none behind.
final class MaterialOutput: ResultFiles {
    private typealias File = (kind: MapKind, depth: Int, output: PictureOutput)

    private let layout: MapLayout
    private let folder: String
    /// Begins the files' names.
    private let name: String
    private let width: Int
    private let height: Int
    /// Bits of a sample in each map's file, in the layout's order.
    private let depths: [Int]
    private let inputs: [String]
    /// Empty until ``open()``.
    private var files: [File] = []
    private var description: OutputFile.Writing?
    /// What ``open()`` created, the innermost folder first.
    private var created: [URL] = []

    /// - Parameters:
    ///   - folder: its name begins the files' names.
    ///   - depth: bits of all maps; nil for those of the input.
    ///   - inputFolders: of the maps that were read. A second set of maps would make either unreadable.
    /// - Throws: `CommandFailure` for a file or folder that cannot be written.
    init(
        _ folder: String, _ material: Material, width: Int, height: Int, depth: Int?, sparing inputs: [String],
        besides inputFolders: [String] = []
    ) throws {
        layout = material.layout
        (self.folder, name) = try MaterialOutput.resolved(folder)
        self.width = width
        self.height = height
        depths = material.depths.map { depth ?? $0 }
        self.inputs = inputs
        // The dot, because a file is no folder.
        if access(self.folder + "/.", F_OK) == 0 {
            try requireOther(than: inputFolders)
            _ = try outputs()
            _ = try descriptionFile()
        } else {
            try requirePlace()
        }
    }

    deinit {
        // Nameless files go first. A folder with files in it stays.
        files = []
        description = nil
        for folder in created { rmdir(folder.path) }
    }

    /// The folder's path without a slash at its end, and its name.
    private static func resolved(_ folder: String) throws -> (path: String, name: String) {
        var path = folder
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        if [".", ".."].contains(FileName.lastComponent(ofPath: path)), let real = realpath(path, nil) {
            defer { free(real) }
            path = FileName.text(of: Data(bytes: real, count: strlen(real)))
        }
        guard FileName.isText(path) else {
            throw CommandFailure("-o \(folder): the name of a material's folder has to be UTF-8", exit: .usage)
        }
        // A dot would hide the files.
        let name = FileName.lastComponent(ofPath: path).drop { $0 == "." }
        guard !name.isEmpty else {
            throw CommandFailure("-o '\(folder)': expected the name of a folder", exit: .usage)
        }
        return (path, String(name))
    }

    private func requireOther(than inputFolders: [String]) throws {
        var own = stat()
        guard stat(folder, &own) == 0 else { return }
        for inputFolder in inputFolders {
            var input = stat()
            if stat(inputFolder, &input) == 0, input.st_dev == own.st_dev, input.st_ino == own.st_ino {
                throw CommandFailure("\(folder) is the folder of the input itself; give another -o", exit: .usage)
            }
        }
    }

    /// Checks that the folder can be created: what exists of its path has to be a folder and writable.
    private func requirePlace() throws {
        guard access(missing.above.path + "/.", W_OK | X_OK) == 0 else { throw failure(reasonOfSystem(errno)) }
    }

    /// What does not exist of the folder's path, the innermost first, and the folder above.
    private var missing: (folders: [URL], above: URL) {
        var folders: [URL] = []
        var above = URL(fileURLWithPath: folder).standardizedFileURL
        while !FileManager.default.fileExists(atPath: above.path) {
            folders.append(above)
            above.deleteLastPathComponent()
        }
        return (folders, above)
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

    private func descriptionFile() throws -> OutputFile { try OutputFile("\(folder)/\(name).mtlx", sparing: inputs) }

    private func failure(_ reason: String) -> CommandFailure {
        CommandFailure("\(folder) cannot be made a folder: \(reason); give another -o", exit: .usage)
    }

    func open() throws {
        created = missing.folders
        do {
            try FileManager.default.createDirectory(
                at: URL(fileURLWithPath: folder), withIntermediateDirectories: true)
        } catch { throw failure(error.systemReason) }
        files = try outputs()
        description = try descriptionFile().open()
        for file in files { try file.output.open() }
    }

    func write<Sample: PictureSample>(_ rows: UnsafeBufferPointer<Sample>) throws {
        try rows.withMemoryRebound(to: UInt16.self) { rows in
            for (kind, depth, output) in files { try layout.write(kind, of: rows, to: output, depth: depth) }
        }
    }

    func finish() throws {
        for file in files { try file.output.complete() }
        let maps = layout.maps.map { ($0, $0.fileName(of: name)) }
        try description?.write(Data(MaterialX.document(name: name, maps: maps).utf8))
        try description?.sync()
        for file in files { try file.output.place() }
        try description?.finish()
        created = []
    }

    var written: [WrittenPicture] {
        files.map { kind, depth, output in
            WrittenPicture(path: output.path, map: kind, depth: depth, sha256: output.sha256)
        }
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
