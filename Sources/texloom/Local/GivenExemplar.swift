import Foundation
import Imaging
import TextureGAN

/// What `texloom train` gets: a photograph, or the maps of a material.
struct GivenExemplar {
    private enum Source {
        case photograph(FramedExemplar)
        case material(MaterialFiles, Framing)
    }

    /// The exemplar as training sees it, under the path that was given.
    let identity: Exemplar
    private let source: Source

    /// The name in messages and in result.json.
    var fileName: String { FileName.last(of: identity.name) }

    /// Notes that training cannot give, because it sees only a part.
    let unsaidNotes: [String]

    /// - Throws: `ImagingError` or `TrainingError` naming the file, what is wrong with it and what to do.
    init(_ path: String?, _ maps: MapOptions, _ framing: Framing) throws {
        if let files = try maps.files(orFolder: path) {
            let (material, notes) = try files.read(framing)
            // Training reads the files of a part, which `source(in:)` writes.
            identity = Exemplar(framing.isEmpty ? material : material.asWritten)
            source = .material(files, framing)
            unsaidNotes = framing.isEmpty ? [] : notes
        } else {
            let framed = try FramedExemplar(path ?? "", framing)
            identity = Exemplar(framed.image, name: path ?? "")
            source = .photograph(framed)
            unsaidNotes = framed.unsaidNotes
        }
    }

    /// The files to train on. A part is written to the folder, where expand finds it too: as `exemplar.png`, or the maps
    /// of a material in `exemplar/`.
    func source(in folder: URL) throws -> TrainingRun.Input.Source {
        switch source {
        case .photograph(let framed): return .photograph(try framed.file(in: folder))
        case .material(let files, let framing):
            guard !framing.isEmpty else { return .material(files) }
            let part = folder.appendingPathComponent("exemplar", isDirectory: true)
            // Read once more: `identity` has the pixels as they are written, and a second copy would stay as long.
            try MaterialOutput.write(files.read(framing).0, to: part)
            return .material(try MaterialFiles(folder: part, name: fileName))
        }
    }
}
