/// A float32 image-shaped array, `[height, width, channels]` (NHWC with a batch of one), densely packed.
///
/// A view: whoever made its memory (an `Arena`, a `Parameter`) owns it. Copying a Tensor copies the view.
public struct Tensor: @unchecked Sendable {
    public let data: UnsafeMutablePointer<Float>
    public let height: Int
    public let width: Int
    public let channels: Int

    public init(_ data: UnsafeMutablePointer<Float>, height: Int, width: Int, channels: Int) {
        self.data = data
        self.height = height
        self.width = width
        self.channels = channels
    }

    /// Uninitialised, from an arena.
    public init(in arena: Arena, height: Int, width: Int, channels: Int) {
        self.init(arena.floats(height * width * channels), height: height, width: width, channels: channels)
    }

    /// Uninitialised, shaped like another.
    public init(in arena: Arena, like other: Tensor) {
        self.init(in: arena, height: other.height, width: other.width, channels: other.channels)
    }

    public var pixels: Int { height * width }
    public var count: Int { height * width * channels }
    public var buffer: UnsafeMutableBufferPointer<Float> { UnsafeMutableBufferPointer(start: data, count: count) }

    public func hasShape(of other: Tensor) -> Bool {
        height == other.height && width == other.width && channels == other.channels
    }

    /// One value, for tests and messages: bounds are checked.
    public subscript(y: Int, x: Int, c: Int) -> Float {
        get {
            precondition(y >= 0 && y < height && x >= 0 && x < width && c >= 0 && c < channels)
            return data[(y * width + x) * channels + c]
        }
        nonmutating set {
            precondition(y >= 0 && y < height && x >= 0 && x < width && c >= 0 && c < channels)
            data[(y * width + x) * channels + c] = newValue
        }
    }
}
