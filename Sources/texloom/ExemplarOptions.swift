import ArgumentParser
import Foundation
import Imaging

extension Framing.Window: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

/// `--crop` and `--resize`.
struct FramingOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Trains on a part of the photograph: WxH+X+Y in pixels from its top left corner, or WxH from its middle.",
            valueName: "window"))
    var crop: Framing.Window?

    @Option(
        help: ArgumentHelp(
            "Makes the exemplar smaller, after --crop: its longer side gets at most this many pixels.",
            valueName: "pixels"))
    var resize: Int?

    /// What to call the exemplar where its size is told.
    func named(_ name: String) -> String {
        let options = [crop.map { _ in "--crop" }, resize.map { _ in "--resize" }].compactMap { $0 }
        return options.isEmpty ? name : "\(name) after \(options.joined(separator: " and "))"
    }

    var framing: Framing { Framing(crop: crop, longestSide: resize) }

    func validate() throws {
        guard resize ?? 1 >= 1 else { throw ValidationError("--resize \(resize ?? 0): expected 1 or more") }
    }
}

/// A photograph as training gets it: checked by decoding, framed, within the limits of an exemplar.
struct FramedExemplar {
    let image: Image
    /// What decoding and framing changed.
    let notes: [String]
    /// The file to train on: the photograph's own bytes, or a PNG of the part.
    let data: Data
    private let path: String
    private let isFramed: Bool

    /// - Throws: `ImagingError` naming the file, what is wrong with it and what to do.
    init(_ path: String, _ framing: Framing) throws {
        self.path = path
        let name = FileName.readable(path)
        let (url, descriptor) = FileName.opened(path)
        defer { if let descriptor { close(descriptor) } }
        let bytes = try Image.bytes(of: url, limits: .exemplar)
        isFramed = !framing.isEmpty
        guard isFramed else {
            let decoded = try DecodedImage(bytes, name: name, limits: .exemplar)
            (image, data) = (decoded.image, bytes)
            notes = decoded.notes.map(\.description)
            return
        }
        let whole = try DecodedImage(bytes, name: name)
        image = try framing.frame(whole.image, name: name)
        guard ImageLimits.exemplar.allow(width: image.width, height: image.height) else {
            throw ImageLimits.exemplar.tooLarge(name, image.width, image.height)
        }
        data = try image.png()
        let part = framing.crop.map { "its part \($0)" } ?? "all of it"
        let (sizeBefore, size) = ("\(whole.image.width)x\(whole.image.height)", "\(image.width)x\(image.height)")
        notes = whole.notes.map(\.description) + ["of \(sizeBefore) pixels, \(part) is taken as \(size)"]
    }

    /// The file to train on. A part is written to the folder as `exemplar.png`, where expand and evaluate find it too.
    func file(in folder: URL) throws -> URL {
        guard isFramed else { return FileName.opened(path).url }
        let file = folder.appendingPathComponent("exemplar.png")
        try write(data, to: file)
        return file
    }

    /// Notes that training cannot give, because it sees only the part.
    var unsaidNotes: [String] { isFramed ? notes : [] }
}
