import Imaging

/// A second picture, of which only the size is known until it is needed: decoding it may take more memory than there is.
public struct GuidePicture {
    /// For messages.
    let name: String
    let width: Int
    let height: Int
    private let fileBytes: Int
    private let decoded: () throws -> Image

    /// - Parameters:
    ///   - name: for messages.
    ///   - width: of the decoded picture, in pixels. `height` likewise.
    ///   - fileBytes: what its file has.
    public init(name: String, width: Int, height: Int, fileBytes: Int, decoded: @escaping () throws -> Image) {
        self.name = name
        self.width = width
        self.height = height
        self.fileBytes = fileBytes
        self.decoded = decoded
    }

    /// The middle with the proportions of a size, scaled to that size. Nothing keeps the whole picture.
    func filling(width: Int, height: Int) throws -> Image { try decoded().filling(width: width, height: height) }

    /// The most bytes that ``filling(width:height:)`` takes.
    func bytes(toFill width: Int, height: Int) -> Int {
        let pixels = self.width * self.height
        // The file, and two copies of the pixels, which a JPEG and a turned picture have.
        let decoding = fileBytes + 6 * pixels
        if width == self.width, height == self.height { return decoding }
        // The whole, the part, its rows with the new width in floating point, and the result.
        return max(decoding, 6 * pixels + 12 * width * self.height + 3 * width * height)
    }
}
