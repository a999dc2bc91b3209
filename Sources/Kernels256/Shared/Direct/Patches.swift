import Tensors

/// Patches of an image with few channels, one for each pixel of a row: the left factor of a convolution by matrix
/// product.
///
/// The rows under the kernel are copied with their padding, for some pixels at a time, so that they stay in the cache.
/// Neighbouring patches overlap there, and the product reads each where it lies.
struct Patches: Sendable {
    enum Kind {
        /// For a pixel of the output: the window of the input under the kernel.
        case gathered(stride: Int)
        /// For a pixel of the input: the window of the output gradient that saw it, for a kernel turned by 180 degrees.
        /// If padding repeats the pixel, the windows of those positions are added.
        case folded(height: Int, width: Int)
    }

    /// The patches of adjacent pixels: each is `rows` runs of `run` floats.
    struct Block {
        let pixels: Range<Int>
        let data: UnsafePointer<Float>
        /// Distance from a pixel's patch to the next one's.
        let pixelStride: Int
        let rows: Int
        let run: Int
        /// Distance from a run to the next.
        let rowStride: Int

        /// Pixels by elements.
        var matrix: Microkernel.Left {
            Microkernel.Left(data, rowStride: pixelStride, step: 1, runs: rows, gap: rowStride - run)
        }

        /// Elements of a run by pixels.
        func transposed(row: Int) -> Microkernel.Left {
            Microkernel.Left(data + row * rowStride, rowStride: 1, step: pixelStride)
        }
    }

    /// One image or several; `forEachBlock` takes one.
    let image: Tensor
    let kernelSize: Int
    let padding: Padding
    let kind: Kind

    /// The most pixels of a block: their rows fit into the L1 cache, and they fill whole tiles.
    static var blockPixels: Int { 10 * RegisterTiles.tall }

    private var run: Int { kernelSize * image.channels }
    /// Elements of a patch.
    var length: Int { kernelSize * run }

    private var stride: Int {
        if case .gathered(let stride) = kind { return stride }
        return 1
    }

    /// Pixels at each end of a row whose patches are sums of windows in different columns.
    private var edge: Int {
        if case .folded = kind, padding.mode != .zero, padding.amount > 0 { return padding.amount + 1 }
        return 0
    }

    /// Floats of memory that `forEachBlock` needs.
    var scratchCount: Int {
        require(edge <= Self.blockPixels, "padding by \(padding.amount) pixels: expected less than \(Self.blockPixels)")
        return max(kernelSize * bandWidth(pixels: Self.blockPixels) * image.channels, edge * length)
    }

    private func bandWidth(pixels: Int) -> Int { (pixels - 1) * stride + kernelSize }

    /// The patches of one of the images.
    @inline(__always)
    func of(image index: Int) -> Patches {
        Patches(image: image.image(index), kernelSize: kernelSize, padding: padding, kind: kind)
    }

    /// Calls `body` with the patches of a row's pixels, from the first pixel to the last.
    @inline(__always)
    func forEachBlock(
        ofRow row: Int, width: Int, in scratch: UnsafeMutablePointer<Float>, _ body: (Block) -> Void
    ) {
        let left = min(edge, width)
        let right = max(left, width - edge)
        if left > 0 { body(separate(row: row, pixels: 0..<left, in: scratch)) }
        for first in Swift.stride(from: left, to: right, by: Self.blockPixels) {
            body(overlapping(row: row, pixels: first..<min(first + Self.blockPixels, right), in: scratch))
        }
        if right < width { body(separate(row: row, pixels: right..<width, in: scratch)) }
    }

    /// Patches that are windows of the same rows.
    private func overlapping(row: Int, pixels: Range<Int>, in scratch: UnsafeMutablePointer<Float>) -> Block {
        let width = bandWidth(pixels: pixels.count)
        let rowStride = width * image.channels
        switch kind {
        case .gathered:
            for r in 0..<kernelSize {
                copy(
                    row: row * stride + r - padding.amount, from: pixels.lowerBound * stride - padding.amount,
                    count: width, padding, to: scratch + r * rowStride)
            }
        case .folded(let height, _):
            // The window of a position begins this far from it in the output gradient.
            let start = padding.amount - (kernelSize - 1)
            for r in 0..<kernelSize {
                copy(
                    row: row + start + r, from: pixels.lowerBound + start, count: width, .none,
                    to: scratch + r * rowStride)
            }
            if edge > 0 {
                padding.forEachPosition(of: row, length: height) { y in
                    if y != row {
                        add(
                            y: y + start, x: pixels.lowerBound + start, width: width, rowStride: rowStride, to: scratch)
                    }
                }
            }
        }
        return Block(
            pixels: pixels, data: UnsafePointer(scratch), pixelStride: stride * image.channels, rows: kernelSize,
            run: run, rowStride: rowStride)
    }

    /// Patches of folded pixels that stand in padding columns too, each by itself.
    private func separate(row: Int, pixels: Range<Int>, in scratch: UnsafeMutablePointer<Float>) -> Block {
        // Gathered patches have no edges.
        guard case .folded(let height, let width) = kind else {
            return overlapping(row: row, pixels: pixels, in: scratch)
        }
        let start = padding.amount - (kernelSize - 1)
        for column in pixels {
            let target = scratch + (column - pixels.lowerBound) * length
            target.update(repeating: 0, count: length)
            add(y: row + start, x: column + start, width: kernelSize, rowStride: run, to: target)
            padding.forEachPosition(of: row, length: height) { y in
                padding.forEachPosition(of: column, length: width) { x in
                    if y != row || x != column {
                        add(y: y + start, x: x + start, width: kernelSize, rowStride: run, to: target)
                    }
                }
            }
        }
        return Block(
            pixels: pixels, data: UnsafePointer(scratch), pixelStride: length, rows: 1, run: length, rowStride: length)
    }

    /// Copies pixels of a row, which may lie in the padding.
    private func copy(
        row: Int, from first: Int, count: Int, _ padding: Padding, to target: UnsafeMutablePointer<Float>
    ) {
        let channels = image.channels
        let row = padding.source(of: row, length: image.height)
        guard row >= 0 else { return target.update(repeating: 0, count: count * channels) }
        let source = image.data + row * image.width * channels
        let end = first + count
        let inside = min(max(first, 0), end)..<max(min(end, image.width), min(max(first, 0), end))
        for column in first..<inside.lowerBound {
            copyPadding(source, column, padding, to: target + (column - first) * channels)
        }
        (target + (inside.lowerBound - first) * channels).update(
            from: source + inside.lowerBound * channels, count: inside.count * channels)
        for column in inside.upperBound..<end {
            copyPadding(source, column, padding, to: target + (column - first) * channels)
        }
    }

    private func copyPadding(
        _ source: UnsafePointer<Float>, _ column: Int, _ padding: Padding, to target: UnsafeMutablePointer<Float>
    ) {
        let column = padding.source(of: column, length: image.width)
        for channel in 0..<image.channels {
            target[channel] = column < 0 ? 0 : source[column * image.channels + channel]
        }
    }

    /// Adds the window that begins at (y, x), zero outside the image; its rows lie `rowStride` apart in `target`.
    private func add(y: Int, x: Int, width: Int, rowStride: Int, to target: UnsafeMutablePointer<Float>) {
        let channels = image.channels
        let first = max(0, -x) * channels
        let end = min(width, image.width - x) * channels
        if first >= end { return }
        for r in 0..<kernelSize where y + r >= 0 && y + r < image.height {
            let source = image.data + ((y + r) * image.width + x) * channels
            let target = target + r * rowStride
            for i in first..<end { target[i] += source[i] }
        }
    }
}

/// Products of patches, in blocks of pixels that depend on shapes alone.
enum PatchProduct {
    /// `output = patches * right`, with an epilogue.
    ///
    /// - Parameter right: element (row, column) of the right factor.
    static func forward(
        _ patches: Patches, output: Tensor, epilogue: Epilogue, in workspace: Workspace,
        right: (_ row: Int, _ column: Int) -> Float
    ) {
        let arena = workspace.arena
        arena.scoped {
            let length = patches.length
            let panel = RegisterTiles.panel
            let padded = (output.channels + panel - 1) / panel * panel
            let packed = arena.floats(padded * length)
            for row in 0..<length {
                for column in 0..<padded {
                    packed[(column / panel * length + row) * panel + column % panel] =
                        column < output.channels ? right(row, column) : 0
                }
            }
            let width = (output.channels + 15) / 16 * 16
            let productCount = Patches.blockPixels * width + 16
            let laneCount = productCount + patches.scratchCount
            let lanes = arena.floats(workspace.pool.threads * laneCount)
            workspace.pool.run(blocks: output.images * output.height) { index, lane in
                let patches = patches.of(image: index / output.height)
                let product = lanes + lane * laneCount
                patches.forEachBlock(ofRow: index % output.height, width: output.width, in: product + productCount) {
                    block in
                    for first in stride(from: 0, to: output.channels, by: panel) {
                        Microkernel.multiply(
                            block.matrix, rows: block.pixels.count, count: block.run, packed + first * length,
                            bStep: panel, into: product + first, cStride: width,
                            columns: min(panel, output.channels - first), accumulate: false)
                    }
                    for (i, pixel) in block.pixels.enumerated() {
                        let offset = (index * output.width + pixel) * output.channels
                        for channel in stride(from: 0, to: output.channels, by: vectorLanes) {
                            let lanes = min(vectorLanes, output.channels - channel)
                            let value = loadVector(product + i * width + channel)
                            storeVector(
                                epilogue.apply(value, channel: channel, lanes: lanes, offset: offset),
                                output.data + offset + channel, lanes: lanes)
                        }
                    }
                }
            }
        }
    }

    /// Sums `patches' * image` over the pixels of `image`.
    ///
    /// - Parameter add: called with each element (row, column) of the sum.
    static func weightGradient(
        _ patches: Patches, _ image: Tensor, in workspace: Workspace, add: (_ row: Int, _ column: Int, Float) -> Void
    ) {
        let arena = workspace.arena
        arena.scoped {
            let length = patches.length
            let width = (image.channels + 15) / 16 * 16
            let rows = image.images * image.height
            let slices = min(8, rows)
            let partCount = length * width + 16
            let parts = arena.floats(slices * partCount)
            let copyCount = Patches.blockPixels * width + 16
            let laneCount = copyCount + patches.scratchCount
            let lanes = arena.floats(workspace.pool.threads * laneCount)
            workspace.pool.run(blocks: slices) { slice, lane in
                let copy = lanes + lane * laneCount
                let part = parts + slice * partCount
                part.update(repeating: 0, count: partCount)
                for row in rows * slice / slices..<rows * (slice + 1) / slices {
                    let patches = patches.of(image: row / image.height)
                    patches.forEachBlock(ofRow: row % image.height, width: image.width, in: copy + copyCount) { block in
                        var right = UnsafePointer(
                            image.data + (row * image.width + block.pixels.lowerBound) * image.channels)
                        var step = image.channels
                        // The microkernel reads whole groups of eight.
                        if image.channels % 8 != 0 {
                            for pixel in 0..<block.pixels.count {
                                for channel in 0..<image.channels {
                                    copy[pixel * width + channel] = right[pixel * image.channels + channel]
                                }
                            }
                            (right, step) = (UnsafePointer(copy), width)
                        }
                        for r in 0..<block.rows {
                            Microkernel.multiply(
                                block.transposed(row: r), rows: block.run, count: block.pixels.count, right,
                                bStep: step, into: part + r * block.run * width, cStride: width,
                                columns: image.channels, accumulate: true)
                        }
                    }
                }
            }
            for row in 0..<length {
                for column in 0..<image.channels {
                    var sum: Float = 0
                    for slice in 0..<slices { sum += parts[slice * partCount + row * width + column] }
                    add(row, column, sum)
                }
            }
        }
    }
}
