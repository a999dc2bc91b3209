import Tensors

/// Pixels per block of the passes over whole tensors: about 64 KiB, so a second pass over a block reads from the cache.
@inline(__always)
package func pixelGrain(channels: Int) -> Int { max(1, (1 << 14) / channels) }

/// Adds the sum over all pixels of each channel to `sums` (a bias gradient).
///
/// Partial sums of fixed blocks are added in order, in double precision.
public func addColumnSums(of tensor: Tensor, to sums: UnsafeMutablePointer<Float>, in workspace: Workspace) {
    let channels = tensor.channels
    sumByBlocks(pixels: tensor.pixels, channels: channels, addingTo: sums, in: workspace) { pixels, sum in
        for pixel in pixels {
            let row = tensor.data + pixel * channels
            for channel in 0..<channels { sum[channel] += row[channel] }
        }
    }
}

/// Runs `body` for blocks of pixels, each with its own partial sums, then adds the partial sums to `sums` in order, in
/// double precision.
@inline(__always)
func sumByBlocks(
    pixels: Int, channels: Int, addingTo sums: UnsafeMutablePointer<Float>?, in workspace: Workspace,
    _ body: (_ pixels: Range<Int>, _ sum: UnsafeMutablePointer<Float>) -> Void
) {
    let grain = pixelGrain(channels: channels)
    let blocks = (pixels + grain - 1) / grain
    workspace.arena.scoped {
        let partial = workspace.arena.floats(blocks * channels)
        workspace.pool.run(over: pixels, grain: grain) { pixels in
            let sum = partial + pixels.lowerBound / grain * channels
            sum.update(repeating: 0, count: channels)
            body(pixels, sum)
        }
        guard let sums else { return }
        for channel in 0..<channels {
            var total = 0.0
            for block in 0..<blocks { total += Double(partial[block * channels + channel]) }
            sums[channel] += Float(total)
        }
    }
}

/// The sum of `term` over `0..<count`: blocks of 16,384 in parallel, added in order in double precision.
public func orderedSum(over count: Int, in workspace: Workspace, _ term: (Range<Int>) -> Double) -> Double {
    let grain = 1 << 14
    let blocks = (count + grain - 1) / grain
    return workspace.arena.scoped {
        let partial = UnsafeMutableRawPointer(workspace.arena.floats(2 * blocks))
            .bindMemory(to: Double.self, capacity: blocks)
        workspace.pool.run(over: count, grain: grain) { partial[$0.lowerBound / grain] = term($0) }
        var total = 0.0
        for block in 0..<blocks { total += partial[block] }
        return total
    }
}

/// The Euclidean norm of all values.
public func norm(of tensor: Tensor, in workspace: Workspace) -> Double {
    let data = tensor.data
    return orderedSum(over: tensor.count, in: workspace) { range in
        var sum = 0.0
        for index in range { sum += Double(data[index]) * Double(data[index]) }
        return sum
    }.squareRoot()
}
