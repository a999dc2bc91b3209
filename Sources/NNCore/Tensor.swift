/// One or more float32 images of one shape, `[images, height, width, channels]` (NHWC), densely packed.
///
/// A view: whoever made its memory (an `Arena`, a `Parameter`) owns it. Copying a Tensor copies the view.
public struct Tensor: @unchecked Sendable, BitwiseCopyable {
    public let data: UnsafeMutablePointer<Float>
    public let images: Int
    public let height: Int
    public let width: Int
    public let channels: Int

    public init(_ data: UnsafeMutablePointer<Float>, images: Int = 1, height: Int, width: Int, channels: Int) {
        self.data = data
        self.images = images
        self.height = height
        self.width = width
        self.channels = channels
    }

    /// Uninitialised, from an arena.
    public init(in arena: Arena, images: Int = 1, height: Int, width: Int, channels: Int) {
        self.init(
            arena.floats(images * height * width * channels), images: images, height: height, width: width,
            channels: channels)
    }

    /// Uninitialised, shaped like another.
    public init(in arena: Arena, like other: Tensor) {
        self.init(
            in: arena, images: other.images, height: other.height, width: other.width, channels: other.channels)
    }

    /// Copies of two images of one shape.
    public init(in arena: Arena, _ first: Tensor, _ second: Tensor) {
        precondition(first.images == 1 && second.hasShape(of: first))
        self.init(in: arena, images: 2, height: first.height, width: first.width, channels: first.channels)
        data.update(from: first.data, count: first.count)
        (data + first.count).update(from: second.data, count: second.count)
    }

    /// A view of one of the images.
    @inline(__always)
    public func image(_ index: Int) -> Tensor {
        assert(index >= 0 && index < images)
        return Tensor(
            data + index * height * width * channels, height: height, width: width, channels: channels)
    }

    /// The pixels of all images.
    public var pixels: Int { images * height * width }
    public var count: Int { pixels * channels }
    public var buffer: UnsafeMutableBufferPointer<Float> { UnsafeMutableBufferPointer(start: data, count: count) }

    public func hasShape(of other: Tensor) -> Bool {
        images == other.images && height == other.height && width == other.width && channels == other.channels
    }

    /// One value of the first image, for tests and messages: bounds are checked.
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
