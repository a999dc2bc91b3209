import Imaging
import NNCore

extension Expansion {
    /// Twice the size of a periodic image, and periodic as well: every convolution sees the image repeat.
    ///
    /// The image is wrapped by a margin as wide as the receptive field, and the margin's expansion is cropped away. A
    /// roll of the input by 4 pixels rolls the output by 8 pixels, to the last bit.
    /// - Parameters:
    ///   - image: repeats along `axes`; its sides along them are multiples of 4.
    ///   - memoryLimit: as for `expand`, `rowBytes` and `progress` likewise.
    /// - Throws: `ExpansionError` if the image with its margins cannot be expanded within the limit, or what `progress`
    ///   throws.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    public static func seamless<Sample>(
        _ image: Raster<Sample>, along axes: TorusAxes, with generator: Generator, statistics: BatchNorm.Statistics,
        memoryLimit: Int, rowBytes: Int = 0, in workspace: Workspace, progress: (Double) throws -> Void = { _ in }
    ) throws -> Raster<Sample> {
        precondition(!axes.contains(.x) || image.width % 4 == 0)
        precondition(!axes.contains(.y) || image.height % 4 == 0)
        let place = CanonicalPlace.of(image, along: axes)
        var input = image.rolled(x: -place.x, y: -place.y)
        var frame = (x: 0, y: 0)
        if generator.head.norm == nil {
            if !axes.contains(.x) {
                input = continued(input.transposed()).transposed()
                frame.x = Self.frame
            }
            if !axes.contains(.y) {
                input = continued(input)
                frame.y = Self.frame
            }
        }
        let margin = margin(for: generator)
        let (x, y) = (axes.contains(.x) ? margin : 0, axes.contains(.y) ? margin : 0)
        let wrapped = input.window(x: -x, y: -y, width: input.width + 2 * x, height: input.height + 2 * y)
        let window = OutputWindow(
            x: 2 * (x + frame.x), y: 2 * (y + frame.y), width: 2 * image.width, height: 2 * image.height)
        let output = try unframed(
            wrapped, window, with: generator, statistics: statistics, memoryLimit: memoryLimit, rowBytes: rowBytes,
            in: workspace, progress: progress)
        if place == (0, 0) { return output }
        // The copy needs the memory more.
        workspace.arena.returnPages(above: 0)
        return output.rolled(x: 2 * place.x, y: 2 * place.y)
    }

    /// An image that repeats from left to right, with a continuation above and below that repeats too.
    private static func continued<Sample>(_ image: Raster<Sample>) -> Raster<Sample> {
        // Wide enough for the sources of all blocks of the continuation.
        let side = 96
        let wide = BorderContinuation(margin: frame).extended(
            image.window(x: -side, y: 0, width: image.width + 2 * side, height: image.height))
        return wide.cropped(x: frame + side, y: 0, width: image.width, height: wide.height)
    }
}
