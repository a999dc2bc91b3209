extension WinogradConvolution {
    /// Adds the gradient of the weights to `dWeight`.
    ///
    /// Both sides' tiles are transformed, some hundred at a time; then each lane takes a block of input channels and
    /// output channels through all the products and the transform back, so that the planes of the weight gradient,
    /// four times its size, never leave the cache.
    func addWeightGradient(
        _ input: TileSource, _ dOutput: TileSource, to dWeight: UnsafeMutablePointer<Float>, in workspace: Workspace
    ) {
        let arena = workspace.arena
        let pool = workspace.pool
        let planes = Self.planes
        let phases = Self.phases
        let most = min(tiles, 256)
        let inStride = Self.planeStride(most * inputRow)
        let outStride = Self.planeStride(most * outputRow)
        let inputPlanes = arena.floats(planes * inStride)
        let outputPlanes = arena.floats(planes * outStride + 16)
        let groups = inputRow / (8 * phases)
        let groupsAtOnce = min(groups, max(1, 6 / phases))
        let rows = groupsAtOnce * 8 * phases
        let width = min(32, (outputChannels + 15) / 16 * 16)
        let blockStride = Self.planeStride(rows * width)
        let laneCount = Self.scratchCount + planes * blockStride
        let lanes = arena.floats(pool.threads * laneCount)
        let rowBlocks = (groups + groupsAtOnce - 1) / groupsAtOnce
        let columnBlocks = (outputChannels + width - 1) / width

        for first in stride(from: 0, to: tiles, by: most) {
            let count = min(most, tiles - first)
            pool.run(
                blocks: count,
                lanes: { tile, lane in
                    let scratch = lanes + lane * laneCount
                    Self.transformInput(
                        input, tile: first + tile, to: inputPlanes + tile * inputRow, planeStride: inStride,
                        scratch: scratch)
                    Self.transformOutputGradient(
                        dOutput, tile: first + tile, to: outputPlanes + tile * outputRow, planeStride: outStride,
                        scratch: scratch)
                })
            pool.run(
                blocks: rowBlocks * columnBlocks,
                lanes: { block, lane in
                    let scratch = lanes + lane * laneCount
                    let d = scratch + Self.scratchCount
                    let group = block / columnBlocks * groupsAtOnce
                    let together = min(groupsAtOnce, groups - group)
                    let column = block % columnBlocks * width
                    let columns = min(width, outputChannels - column)
                    for plane in 0..<planes {
                        let left = RegisterTile.Left(
                            inputPlanes + plane * inStride + group * phases * 8, rowStride: 1, step: inputRow)
                        for panel in stride(from: 0, to: columns, by: 16) {
                            let right = outputPlanes + plane * outStride + column + panel
                            let target = d + plane * blockStride + panel
                            if columns - panel <= 8 {
                                RegisterTile.multiply8(
                                    left, rows: together * phases * 8, count: count, right, bStep: outputRow,
                                    into: target, cStride: width, accumulate: false)
                            } else {
                                RegisterTile.multiply16(
                                    left, rows: together * phases * 8, count: count, right, bStep: outputRow,
                                    into: target, cStride: width, accumulate: false)
                            }
                        }
                    }
                    for i in 0..<together {
                        addTaps(
                            d + i * phases * 8 * width, planeStride: blockStride, width: width,
                            channel: (group + i) * 8,
                            columns: column..<column + columns, to: dWeight, scratch: scratch)
                    }
                })
        }
    }

    /// Turns the planes of 8 input channels back into taps and adds them.
    @inline(__always)
    private func addTaps(
        _ d: UnsafePointer<Float>, planeStride: Int, width: Int, channel: Int, columns: Range<Int>,
        to dWeight: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
    ) {
        for row in 0..<min(8, inputChannels - channel) {
            for offset in stride(from: 0, to: columns.count, by: 8) {
                let lanes = min(8, columns.count - offset)
                let source = d + row * width + offset
                let target = dWeight + (channel + row) * outputChannels + columns.lowerBound + offset
                transform(Axis.WeightTransposed.self, scratch: scratch) { i, j in
                    let (plane, phase) = Self.place(i, j)
                    return load8(source + plane * planeStride + phase * 8 * width)
                } store: { i, j, value in
                    let tap = target + (i * Axis.taps + j) * inputChannels * outputChannels
                    store8(load8(tap, lanes: lanes) + value, tap, lanes: lanes)
                }
            }
        }
    }
}
