import ArgumentParser
import Foundation
import Imaging

/// - Throws: `ValidationError` for an impossible limit.
func requireMemory(_ mebibytes: Int?) throws {
    if let mebibytes, !(64...1 << 24).contains(mebibytes) {
        throw ValidationError("--memory \(mebibytes): expected 64 to \(1 << 24) MiB")
    }
}

/// What a picture's file says before it is decoded.
/// - Throws: `CommandFailure` naming the file and what is wrong with it.
func pictureHeader(_ path: String) throws -> ImageHeader {
    do {
        return try Image.header(of: pictureBytes(path), name: FileName.readable(path))
    } catch {
        throw CommandFailure("\(error)")
    }
}

/// - Parameter note: called for each change that decoding made.
/// - Throws: `CommandFailure` naming the file and what is wrong with it.
func loadImage(_ path: String, note: (DecodedImage.Note) -> Void = { _ in }) throws -> Image {
    try loadPicture(path, note: note)
}

/// The same with 8 or 16 bits a channel.
func loadPicture<Sample>(_ path: String, note: (DecodingNote) -> Void) throws -> Raster<Sample> {
    do {
        let decoded = try DecodedRaster<Sample>(pictureBytes(path), name: FileName.readable(path))
        decoded.notes.forEach(note)
        return decoded.image
    } catch {
        throw CommandFailure("\(error)")
    }
}

private func pictureBytes(_ path: String) throws(ImagingError) -> Data {
    let (url, descriptor) = FileName.opened(path)
    defer { if let descriptor { close(descriptor) } }
    return try Image.bytes(of: url)
}
