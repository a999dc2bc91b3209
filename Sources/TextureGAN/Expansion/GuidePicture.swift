import Imaging

/// A second picture, of which only the size is known until it is needed: decoding it may take more memory than there is.
public struct GuidePicture {
    /// For messages.
    let name: String
    let width: Int
    let height: Int
    private let decodingBytes: Int
    private let decoded: () throws -> Image

    /// - Parameters:
    ///   - name: for messages.
    ///   - width: of the decoded picture, in pixels. `height` likewise.
    ///   - decodingBytes: the most that decoding it takes, with its file.
    public init(name: String, width: Int, height: Int, decodingBytes: Int, decoded: @escaping () throws -> Image) {
        self.name = name
        self.width = width
        self.height = height
        self.decodingBytes = decodingBytes
        self.decoded = decoded
    }

    /// The middle with the proportions of a size, scaled to that size. Nothing keeps the whole picture.
    func filling(width: Int, height: Int) throws -> Image { try decoded().filling(width: width, height: height) }

    /// The most bytes that ``filling(width:height:)`` takes.
    func bytes(toFill width: Int, height: Int) -> Int {
        let pixels = self.width * self.height
        if width == self.width, height == self.height { return decodingBytes }
        // The whole, the part, its rows with the new width in floating point, and the result.
        return max(decodingBytes, 6 * pixels + 12 * width * self.height + 3 * width * height)
    }
}
