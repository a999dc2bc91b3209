import Tensors

extension WinogradConvolution where Axis: WinogradGradientAxis {
    /// Adds the gradient of the weights to `dWeight`.
    ///
    /// Both sides' tiles are transformed, some hundred at a time; then each lane takes a block of input channels and
    /// output channels through all the products and the transform back, so that the planes of the weight gradient,
    /// four times its size, never leave the cache.
    func addWeightGradient(
        _ input: TileSource, _ dOutput: TileSource, to dWeight: UnsafeMutablePointer<Float>,
        in workspace: Workspace
    ) {
        let pool = workspace.pool
        let planes = Self.planes
        // The product's rows are the input's channels in all their phases, its columns the output's.
        let depth = 8 * Self.phases
        let groups = (inputChannels + 7) / 8
        let width = min(64, (outputChannels + 15) / 16 * 16)
        let groupsAtOnce = wholeVectors(groups: 110_000 / (Self.weightPlanes * width * depth), of: groups)
        let most = Self.tilesAtOnce(
            tiles, floatsPerTile: planes * (groups * depth + (outputChannels + 15) / 16 * 16), limit: 256)
        let left = TilePlanes(
            in: workspace.arena, planes: planes, rows: most, groups: groups, groupWidth: depth,
            groupsPerChunk: groupsAtOnce)
        let right = TilePlanes(
            in: workspace.arena, planes: planes, rows: most, groups: (outputChannels + 15) / 16 * 2, groupWidth: 8,
            groupsPerChunk: width / 8)
        let blockStride = Self.planeStride(groupsAtOnce * depth * width)
        let laneCount = Self.scratchCount + Self.weightPlanes * blockStride
        let lanes = workspace.arena.floats(pool.threads * laneCount)
        let rowBlocks = (groups + groupsAtOnce - 1) / groupsAtOnce
        let columnBlocks = (outputChannels + width - 1) / width

        for first in stride(from: 0, to: tiles, by: most) {
            let count = min(most, tiles - first)
            pool.run(blocks: count) { tile, lane in
                let scratch = lanes + lane * laneCount
                Self.transformInput(
                    input, tile: first + tile, to: left, row: tile, scratch: scratch)
                Self.transformOutputGradient(
                    dOutput, tile: first + tile, to: right, row: tile, scratch: scratch)
            }
            pool.run(blocks: rowBlocks * columnBlocks) { block, lane in
                let scratch = lanes + lane * laneCount
                let d = scratch + Self.scratchCount
                let group = block / columnBlocks * groupsAtOnce
                let together = min(groupsAtOnce, groups - group)
                let column = block % columnBlocks * width
                let columns = min(width, outputChannels - column)
                for plane in 0..<planes {
                    let a = Microkernel.Left(
                        left.chunk(group / groupsAtOnce, plane: plane), rowStride: 1, step: left.rowStride)
                    Microkernel.multiply(
                        a, rows: together * depth, count: count, right.chunk(column / width, plane: plane),
                        bStep: right.rowStride, into: d + Self.weightPlane(plane) * blockStride, cStride: width,
                        columns: columns, accumulate: !Self.isFirst(plane))
                }
                for i in 0..<together {
                    let channel = (group + i) * 8
                    Self.addTaps(
                        d + i * depth * width, planeStride: blockStride, width: width,
                        rows: channel..<min(channel + 8, inputChannels), columns: column..<column + columns,
                        to: dWeight, inputChannels: inputChannels, outputChannels: outputChannels, scratch: scratch)
                }
            }
        }
    }

    /// Transforms the planes of up to 8 rows of the weights back and adds them to the taps of `dWeight`.
    @inline(never)
    private static func addTaps(
        _ d: UnsafePointer<Float>, planeStride: Int, width: Int, rows: Range<Int>, columns: Range<Int>,
        to dWeight: UnsafeMutablePointer<Float>, inputChannels: Int, outputChannels: Int,
        scratch: UnsafeMutablePointer<Float>
    ) {
        let kernelArea = Axis.kernelSize * Axis.kernelSize
        let tapStride = inputChannels * outputChannels
        // A row of every tap is finished first: the taps of one kernel lie powers of two apart and would push
        // each other out of L1.
        let finished = scratch + transformCount
        for row in rows {
            let source = d + (row - rows.lowerBound) * width
            for column in stride(from: 0, to: columns.count, by: vectorLanes) {
                transformTile(Axis.WeightTransposed.self, scratch: scratch) { i, j in
                    let (plane, phase) = place(i, j, of: Axis.weightPoints)
                    return loadVector(source + plane * planeStride + phase * 8 * width + column)
                } store: { i, j, value in
                    storeVector(value, finished + (i * Axis.kernelSize + j) * width + column)
                }
            }
            for tap in 0..<kernelArea {
                let target = dWeight + tap * tapStride + row * outputChannels + columns.lowerBound
                let addend = finished + tap * width
                for column in stride(from: 0, to: columns.count, by: vectorLanes) {
                    let lanes = min(vectorLanes, columns.count - column)
                    storeVector(
                        loadVector(target + column, lanes: lanes) + loadVector(addend + column), target + column,
                        lanes: lanes)
                }
            }
        }
    }
}
