import Foundation
import Imaging
import Protocol
import TextureGAN

/// A photograph, or the maps of a material, as `texloom submit` sends it: checked like an exemplar of `texloom train`.
struct SubmittedExemplar {
    /// What the coordinator has stored.
    struct Stored {
        /// Of the photograph, or of the albedo.
        var sha256: String
        /// Of a material.
        var maps: [MapFile]?
    }

    private struct File {
        /// Which map it contains; nil for a photograph.
        var map: String?
        var name: String
        var bytes: () throws -> Data
    }

    /// The photograph's file name, or the material's name.
    let fileName: String
    let width: Int
    let height: Int
    let layout: MapLayout
    /// What reading and framing changed.
    let notes: [String]
    private let files: [File]

    /// - Throws: `ImagingError` naming the file, what is wrong with it and what to do.
    init(photograph path: String, _ framing: Framing) throws {
        let framed = try FramedExemplar(path, framing)
        fileName = FileName.last(of: path)
        (width, height, layout) = (framed.image.width, framed.image.height, .picture)
        notes = framed.notes
        files = [File(name: fileName, bytes: { framed.data })]
    }

    /// - Throws: `TrainingError` naming the file, what is wrong with it and what to do.
    init(_ material: MaterialFiles, _ framing: Framing) throws {
        let (read, notes) = try material.read(framing)
        fileName = FileName.last(of: material.name)
        (width, height, layout) = (read.pixels.width, read.pixels.height, read.layout)
        self.notes = notes
        // The files that `texloom train` would train on.
        files =
            try framing.isEmpty
            ? material.files.map { file in
                File(map: file.contentName, name: file.url.lastPathComponent) {
                    try Image.bytes(of: file.url, limits: .exemplar)
                }
            } : Self.files(of: read)
    }

    /// The part of a material, written as `texloom train` writes it.
    private static func files(of part: Material) throws -> [File] {
        let scratch = FileManager.default.temporaryDirectory
            .appendingPathComponent("texloom-\(UUID().uuidString)", isDirectory: true)
        defer { try? FileManager.default.removeItem(at: scratch) }
        let folder = scratch.appendingPathComponent("exemplar", isDirectory: true)
        try MaterialOutput.write(part, to: folder)
        return try MaterialFiles(folder: folder, name: part.name).files.map { file in
            let bytes = try Data(contentsOf: file.url)
            return File(map: file.contentName, name: file.url.lastPathComponent, bytes: { bytes })
        }
    }

    /// Uploads every file. A file that the coordinator has costs only the upload.
    func send(to api: APIClient) async throws -> Stored {
        var stored = Stored(sha256: "")
        for file in files {
            let receipt = try await api.upload(file.bytes(), to: "/api/v1/exemplars", as: ExemplarReceipt.self)
            guard let map = file.map else { return Stored(sha256: receipt.sha256) }
            if map == MapKind.albedo.rawValue { stored.sha256 = receipt.sha256 }
            stored.maps = (stored.maps ?? []) + [MapFile(map: map, fileName: file.name, sha256: receipt.sha256)]
        }
        return stored
    }
}
