import Tensors

extension WinogradConvolution {
    /// Stride-1 convolution of an image with many tiles: all weights are transformed first, then each lane takes
    /// blocks of tiles through input transform, products and output transform, whose planes stay in its cache.
    ///
    /// - Parameters:
    ///   - source: the tiles, of `weights.rows` channels.
    ///   - output: overwritten; `weights.columns` channels.
    static func blocked(
        _ source: TileSource, tiles: Int, weights: WeightView, output: Tensor, table: TileTable, epilogue: Epilogue,
        in workspace: Workspace
    ) {
        let arena = workspace.arena
        let pool = workspace.pool
        let row = (weights.rows + 7) / 8 * 8 * phases
        let panels = (weights.columns + 15) / 16
        let columns = panels * 16
        let block = tilesPerBlock(
            floatsPerTile: planes * (row + columns), weightFloats: weightPlanes * row * columns, tiles: tiles)
        let groups = (weights.rows + 7) / 8
        let inStride = TilePlanes.planeStride(
            rows: block, groups: groups, groupWidth: 8 * phases, groupsPerChunk: groups)
        let outStride = planeStride(block * columns)
        let panel = RegisterTiles.panel
        let weightStride = planeStride((columns + panel - 1) / panel * panel * row)
        let transformed = arena.floats(weightPlanes * weightStride)
        let laneCount = planes * (inStride + outStride) + scratchCount
        let lanes = arena.floats(pool.threads * laneCount)

        pool.run(blocks: panels * groups) { index, lane in
            let first = index / groups * 16
            let group = index % groups
            let target = transformed + first / panel * panel * row + group * phases * 8 * panel + first % panel
            transformWeights(weights, row: group * 8, column: first, scratch: lanes + lane * laneCount) {
                plane, phase, row, column, value in
                storeVector(value, target + plane * weightStride + (phase * 8 + row) * panel + column)
            }
        }

        pool.run(blocks: (tiles + block - 1) / block) { index, lane in
            let first = index * block
            let count = min(block, tiles - first)
            let scratch = lanes + lane * laneCount
            let v = TilePlanes(
                at: scratch + scratchCount, rows: block, groups: groups, groupWidth: 8 * phases,
                groupsPerChunk: groups)
            let m = v.data + planes * inStride
            for tile in 0..<count {
                transformInput(source, tile: first + tile, to: v, row: tile, scratch: scratch)
            }
            for plane in 0..<planes {
                let left = Microkernel.Left(v.chunk(0, plane: plane), rowStride: row, step: 1)
                for first in stride(from: 0, to: weights.columns, by: panel) {
                    Microkernel.multiply(
                        left, rows: count, count: row,
                        transformed + weightPlane(plane) * weightStride + first * row, bStep: panel,
                        into: m + plane * outStride + first, cStride: columns,
                        columns: min(panel, weights.columns - first), accumulate: false)
                }
            }
            for tile in 0..<count {
                storeOutput(
                    m + tile * columns, planeStride: outStride, tile: first + tile, table: table, output: output,
                    channels: 0..<output.channels, epilogue: epilogue, scratch: scratch)
            }
        }
    }

    /// As many tiles as fill most of the L2 cache, in whole microkernel tiles: enough that the products take longer
    /// than reading the transformed weights, and at most all tiles.
    private static func tilesPerBlock(floatsPerTile: Int, weightFloats: Int, tiles: Int) -> Int {
        let rows = RegisterTiles.tall
        let least = weightFloats > 600_000 && tiles > 96 ? 4 * rows : 2 * rows
        let fitting = max(least, min(Caches.level2Floats * 5 / 6 / floatsPerTile / rows * rows, 4 * rows))
        return min(fitting, (tiles + rows - 1) / rows * rows)
    }

    /// Results of one tile for a range of channels that begins at a multiple of 8.
    ///
    /// - Parameter m: row of the tile in plane 0, first channel of the range first.
    @inline(never)
    static func storeOutput(
        _ m: UnsafePointer<Float>, planeStride: Int, tile: Int, table: TileTable, output: Tensor,
        channels: Range<Int>, epilogue: Epilogue, scratch: UnsafeMutablePointer<Float>
    ) {
        let (rows, columns, isCut) = table.offsets(of: tile)
        var channel = channels.lowerBound
        while channel < channels.upperBound {
            let lanes = min(vectorLanes, channels.upperBound - channel)
            let source = m + (channel - channels.lowerBound)
            let target = output.data + channel
            if lanes == vectorLanes && !isCut {
                transformTile(Axis.Output.self, scratch: scratch) { i, j in
                    loadVector(source + (i * Axis.points + j) * planeStride)
                } store: { i, j, value in
                    let offset = rows[i] + columns[j]
                    storeVector(epilogue.apply(value, channel: channel, offset: offset), target + offset)
                }
            } else {
                transformTile(Axis.Output.self, scratch: scratch) { i, j in
                    loadVector(source + (i * Axis.points + j) * planeStride)
                } store: { i, j, value in
                    if rows[i] | columns[j] < 0 { return }
                    let offset = rows[i] + columns[j]
                    storeVector(
                        epilogue.apply(value, channel: channel, lanes: lanes, offset: offset), target + offset,
                        lanes: lanes)
                }
            }
            channel += vectorLanes
        }
    }
}
