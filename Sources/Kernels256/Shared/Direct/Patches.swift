import Tensors

/// Patches of an image with few channels, one dense row per pixel: the left factor of a convolution by matrix product,
/// made for a few pixels at a time, so that it stays in the cache.
struct Patches: Sendable {
    enum Kind {
        /// For a pixel of the output: the window of the input under the kernel.
        case gathered(stride: Int)
        /// For a pixel of the input: the window of the output gradient that saw it, for a kernel turned by 180 degrees.
        /// If padding repeats the pixel, the windows of those positions are added.
        case folded(height: Int, width: Int)
    }

    /// One image or several; `write` takes one.
    let image: Tensor
    let kernelSize: Int
    let padding: Padding
    let kind: Kind

    var length: Int { kernelSize * kernelSize * image.channels }

    /// The patches of one of the images.
    @inline(__always)
    func of(image index: Int) -> Patches {
        Patches(image: image.image(index), kernelSize: kernelSize, padding: padding, kind: kind)
    }

    /// Writes the patches of the pixels `columns` of a row.
    func write(row: Int, columns: Range<Int>, to target: UnsafeMutablePointer<Float>) {
        var target = target
        switch kind {
        case .gathered(let stride):
            for column in columns {
                gather(y: row * stride - padding.amount, x: column * stride - padding.amount, to: target)
                target += length
            }
        case .folded(let height, let width):
            for column in columns {
                // The window of a position begins this far from it in the output gradient.
                let start = padding.amount - (kernelSize - 1)
                copyInside(y: row + start, x: column + start, to: target)
                if padding.mode != .zero && padding.amount > 0 {
                    padding.forEachPosition(of: row, length: height) { y in
                        padding.forEachPosition(of: column, length: width) { x in
                            if y != row || x != column { addInside(y: y + start, x: x + start, to: target) }
                        }
                    }
                }
                target += length
            }
        }
    }

    /// The window that begins at (y, x) of the padded image.
    private func gather(y: Int, x: Int, to target: UnsafeMutablePointer<Float>) {
        let channels = image.channels
        let run = kernelSize * channels
        let isInside = x >= 0 && x + kernelSize <= image.width
        for r in 0..<kernelSize {
            let target = target + r * run
            let row = padding.source(of: y + r, length: image.height)
            if row < 0 {
                target.update(repeating: 0, count: run)
                continue
            }
            let source = image.data + row * image.width * channels
            if isInside {
                copy(source + x * channels, to: target, count: run)
                continue
            }
            for s in 0..<kernelSize {
                let column = padding.source(of: x + s, length: image.width)
                for c in 0..<channels {
                    target[s * channels + c] = column < 0 ? 0 : source[column * channels + c]
                }
            }
        }
    }

    /// A short copy, inline: the last vector overlaps its predecessor.
    @inline(__always)
    private func copy(_ source: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>, count: Int) {
        if count < 8 {
            for i in 0..<count { target[i] = source[i] }
            return
        }
        for i in stride(from: 0, to: count - 7, by: 8) { store8(load8(source + i), target + i) }
        store8(load8(source + (count - 8)), target + (count - 8))
    }

    /// The window that begins at (y, x), zero outside the image.
    private func copyInside(y: Int, x: Int, to target: UnsafeMutablePointer<Float>) {
        let run = kernelSize * image.channels
        if y >= 0 && y + kernelSize <= image.height && x >= 0 && x + kernelSize <= image.width {
            for r in 0..<kernelSize {
                copy(image.data + ((y + r) * image.width + x) * image.channels, to: target + r * run, count: run)
            }
        } else {
            target.update(repeating: 0, count: length)
            addInside(y: y, x: x, to: target)
        }
    }

    private func addInside(y: Int, x: Int, to target: UnsafeMutablePointer<Float>) {
        let channels = image.channels
        let first = max(0, -x) * channels
        let end = min(kernelSize, image.width - x) * channels
        if first >= end { return }
        for r in 0..<kernelSize where y + r >= 0 && y + r < image.height {
            let source = image.data + ((y + r) * image.width + x) * channels
            let target = target + r * kernelSize * channels
            for i in first..<end { target[i] += source[i] }
        }
    }
}

/// Products of patches, in blocks of pixels that depend on shapes alone.
enum PatchProduct {
    /// Pixels whose patches fit into the L1 cache together, in whole microkernel tiles.
    private static func blockPixels(_ patches: Patches) -> Int {
        let rows = RegisterTiles.tall
        return max(2 * rows, min(10 * rows, 6_000 / patches.length / rows * rows))
    }

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
            let blockPixels = blockPixels(patches)
            let panels = (output.channels + 15) / 16
            let panel = RegisterTiles.panel
            let padded = (output.channels + panel - 1) / panel * panel
            let packed = arena.floats(padded * length)
            for row in 0..<length {
                for column in 0..<padded {
                    packed[(column / panel * length + row) * panel + column % panel] =
                        column < output.channels ? right(row, column) : 0
                }
            }
            let laneCount = blockPixels * (length + panels * 16) + 16
            let lanes = arena.floats(workspace.pool.threads * laneCount)
            workspace.pool.run(blocks: output.images * output.height) { block, lane in
                let patches = patches.of(image: block / output.height)
                let output = output.image(block / output.height)
                let row = block % output.height
                let a = lanes + lane * laneCount
                let c = a + blockPixels * length
                for first in stride(from: 0, to: output.width, by: blockPixels) {
                    let columns = first..<min(first + blockPixels, output.width)
                    patches.write(row: row, columns: columns, to: a)
                    for first in stride(from: 0, to: output.channels, by: panel) {
                        Microkernel.multiply(
                            Microkernel.Left(a, rowStride: length, step: 1), rows: columns.count, count: length,
                            packed + first * length, bStep: panel, into: c + first, cStride: panels * 16,
                            columns: min(panel, output.channels - first), accumulate: false)
                    }
                    for (i, column) in columns.enumerated() {
                        let target = output.data + (row * output.width + column) * output.channels
                        for channel in stride(from: 0, to: output.channels, by: vectorLanes) {
                            let lanes = min(vectorLanes, output.channels - channel)
                            let value = loadVector(c + i * panels * 16 + channel)
                            let offset = (block * output.width + column) * output.channels
                            storeVector(
                                epilogue.apply(value, channel: channel, lanes: lanes, offset: offset),
                                target + channel, lanes: lanes)
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
            let blockPixels = blockPixels(patches)
            let width = (image.channels + 15) / 16 * 16
            let rows = image.images * image.height
            let slices = min(8, rows)
            let partCount = length * width + 16
            let parts = arena.floats(slices * partCount)
            let laneCount = blockPixels * (length + width) + 16
            let lanes = arena.floats(workspace.pool.threads * laneCount)
            workspace.pool.run(blocks: slices) { slice, lane in
                let a = lanes + lane * laneCount
                let b = a + blockPixels * length
                let part = parts + slice * partCount
                part.update(repeating: 0, count: partCount)
                for row in rows * slice / slices..<rows * (slice + 1) / slices {
                    let patches = patches.of(image: row / image.height)
                    for first in stride(from: 0, to: image.width, by: blockPixels) {
                        let columns = first..<min(first + blockPixels, image.width)
                        patches.write(row: row % image.height, columns: columns, to: a)
                        for (i, column) in columns.enumerated() {
                            let source = image.data + (row * image.width + column) * image.channels
                            for channel in stride(from: 0, to: image.channels, by: 8) {
                                let lanes = min(8, image.channels - channel)
                                store8(load8(source + channel, lanes: lanes), b + i * width + channel)
                            }
                        }
                        Microkernel.multiply(
                            Microkernel.Left(a, rowStride: 1, step: length), rows: length, count: columns.count, b,
                            bStep: width, into: part, cStride: width, columns: image.channels, accumulate: true)
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
