import Foundation
import Imaging
import OperatingSystem

/// The coordinator's work on images: it makes sure that an exemplar decodes, and makes thumbnails.
struct Pictures: Sendable {
    /// Decodes an exemplar completely and discards the pixels.
    /// - Returns: Width and height in pixels.
    /// - Throws: `.badExemplar` with the reason.
    func check(_ file: URL) throws -> (width: Int, height: Int) {
        let image = try decode(file, name: "the image", limits: .exemplar)
        return (image.width, image.height)
    }

    /// Reads the beginning of an image.
    /// - Returns: Width and height in pixels.
    /// - Throws: `.badExemplar` if the file is no image.
    func size(of file: URL, name: String) throws -> (width: Int, height: Int) {
        do {
            let bytes = try Data(contentsOf: file, options: .mappedIfSafe)
            let header = try Image.header(of: bytes, name: name, limits: .exemplar)
            return (header.width, header.height)
        } catch let error as ImagingError {
            throw CoordinatorError(.badExemplar, error.message)
        } catch {
            throw CoordinatorError(.fileSystem, "\(name) cannot be read: \(error.systemReason)")
        }
    }

    /// - Returns: A PNG whose longer side has at most `side` pixels.
    /// - Throws: `.badExemplar` if the file is no image.
    func thumbnail(of file: URL, side: Int) throws -> Data {
        let image = try decode(file, name: file.lastPathComponent, limits: nil)
        do {
            return try image.thumbnail(longestSide: side).png()
        } catch {
            throw CoordinatorError(.badExemplar, error.message)
        }
    }

    private func decode(_ file: URL, name: String, limits: ImageLimits?) throws -> Image {
        let bytes: Data
        do {
            bytes = try Data(contentsOf: file, options: .mappedIfSafe)
        } catch {
            throw CoordinatorError(.fileSystem, "\(name) cannot be read: \(error.systemReason)")
        }
        do {
            // Snapshots, which are larger, are PNG. A progressive JPEG of their size would take 600 MiB.
            let isPNG = bytes.first == 0x89
            return try Image(decoding: bytes, name: name, limits: limits ?? (isPNG ? .standard : .exemplar))
        } catch {
            throw CoordinatorError(.badExemplar, error.message)
        }
    }
}
