/// One or more float32 images of one shape, `[images, height, width, channels]` (NHWC), densely packed.
///
/// A view: an `Arena` or a `Parameter` owns the memory. Copying a Tensor copies the view. `data` is a raw pointer:
/// nothing checks accesses through it.
public struct Tensor: @unchecked Sendable, BitwiseCopyable {
    public let data: UnsafeMutablePointer<Float>
    public let images: Int
    public let height: Int
    public let width: Int
    public let channels: Int

    @inlinable
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

    /// A batch of two: copies of images of one shape.
    public init(in arena: Arena, _ first: Tensor, _ second: Tensor) {
        require(first.images == 1, "a pair takes single images, found \(first.images)")
        second.requireShape(of: first)
        self.init(in: arena, images: 2, height: first.height, width: first.width, channels: first.channels)
        data.update(from: first.data, count: first.count)
        (data + first.count).update(from: second.data, count: second.count)
    }

    /// A view of one image. Ends the process if there is no such image.
    @inlinable
    @inline(__always)
    public func image(_ index: Int) -> Tensor {
        require(index >= 0 && index < images, "image \(index) of \(images)")
        return Tensor(
            data + index * height * width * channels, height: height, width: width, channels: channels)
    }

    /// The pixels of all images.
    @inlinable
    public var pixels: Int { images * height * width }
    @inlinable
    public var count: Int { pixels * channels }
    @inlinable
    public var buffer: UnsafeMutableBufferPointer<Float> { UnsafeMutableBufferPointer(start: data, count: count) }

    @inlinable
    public func hasShape(of other: Tensor) -> Bool {
        images == other.images && height == other.height && width == other.width && channels == other.channels
    }

    /// `[images, height, width, channels]`, for messages.
    @usableFromInline
    package var shape: String { "[\(images), \(height), \(width), \(channels)]" }

    /// Ends the process if the shapes differ.
    @inlinable
    @inline(__always)
    package func requireShape(of other: Tensor) {
        require(hasShape(of: other), "shape \(shape), expected \(other.shape)")
    }

    /// One value of the first image, for tests and messages. Ends the process if it is outside the image.
    public subscript(y: Int, x: Int, c: Int) -> Float {
        get { data[offset(y, x, c)] }
        nonmutating set { data[offset(y, x, c)] = newValue }
    }

    private func offset(_ y: Int, _ x: Int, _ c: Int) -> Int {
        require(
            y >= 0 && y < height && x >= 0 && x < width && c >= 0 && c < channels,
            "value (\(y), \(x), \(c)) of a tensor of shape \(shape)")
        return (y * width + x) * channels + c
    }
}
