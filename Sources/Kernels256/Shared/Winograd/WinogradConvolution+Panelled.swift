import Tensors

extension WinogradConvolution where Axis: WinogradGradientAxis {
    /// The direction of a panelled convolution.
    enum Direction { case forward, inputGradient }

    /// Convolution of an image with few tiles, or one whose results overlap: the tiles are transformed first, then each
    /// lane takes panels of 16 or 32 result channels through weight transform, products and result transform.
    /// Transformed weights never leave the cache, and a lane owns its channels of the result, so overlapping tiles of
    /// an input gradient, reflected borders among them, are added up in place.
    ///
    /// - Parameters:
    ///   - source: tiles of the input, or output gradient.
    ///   - result: the output, or input gradient; overwritten.
    ///   - table: tiles of the result.
    static func panelled(
        _ direction: Direction, _ source: TileSource, tiles: Int, weights: WeightView, result: Tensor, table: TileTable,
        epilogue: Epilogue, in workspace: Workspace
    ) {
        let arena = workspace.arena
        let pool = workspace.pool
        let isForward = direction == .forward
        let groups = (weights.rows + 7) / 8
        // A group of 8 rows of the weights is `depth` rows of a product; 16 channels of the result are `width` columns.
        let depth = isForward ? 8 * phases : 8
        let panel = min(isForward || phases == 1 ? 32 : 16, (result.channels + 15) / 16 * 16)
        let width = isForward ? panel : panel * phases
        let most = tilesAtOnce(
            tiles, floatsPerTile: planes * groups * depth,
            limit: max(48, Caches.level2Floats * 2 / 3 / (planes * width)))
        let groupsAtOnce = wholeVectors(
            groups: Caches.level2Floats * 3 / 5 / (weightPlanes * depth * width), of: groups)
        let v = TilePlanes(
            in: arena, planes: planes, rows: most, groups: groups, groupWidth: depth, groupsPerChunk: groupsAtOnce)
        let outStride = planeStride(most * width)
        let weightStride = planeStride(groupsAtOnce * depth * width)
        let laneCount = scratchCount + planes * outStride + weightPlanes * weightStride
        let lanes = arena.floats(pool.threads * laneCount)

        for first in stride(from: 0, to: tiles, by: most) {
            let count = min(most, tiles - first)
            pool.run(blocks: count) { tile, lane in
                let scratch = lanes + lane * laneCount
                if isForward {
                    transformInput(source, tile: first + tile, to: v, row: tile, scratch: scratch)
                } else {
                    transformOutputGradient(source, tile: first + tile, to: v, row: tile, scratch: scratch)
                }
            }
            pool.run(blocks: (result.channels + panel - 1) / panel) { index, lane in
                let scratch = lanes + lane * laneCount
                let u = scratch + scratchCount
                let m = u + weightPlanes * weightStride
                let channels = index * panel..<min(index * panel + panel, result.channels)
                let columns = isForward ? channels.count : (channels.count + 7) / 8 * 8 * phases
                for group in stride(from: 0, to: groups, by: groupsAtOnce) {
                    let together = min(groupsAtOnce, groups - group)
                    for i in 0..<together {
                        for offset in stride(from: 0, to: channels.count, by: 16) {
                            transformWeights(
                                weights, row: (group + i) * 8, column: channels.lowerBound + offset, scratch: scratch
                            ) { plane, phase, row, column, value in
                                let row = i * depth + (isForward ? phase * 8 : 0) + row
                                let column =
                                    isForward ? offset + column : ((offset + column) / 8 * phases + phase) * 8
                                storeGroups(
                                    value, u + plane * weightStride + row * width + column,
                                    groupStride: isForward ? 8 : 8 * phases, groups: groupsPerVector)
                            }
                        }
                    }
                    for plane in 0..<planes {
                        Microkernel.multiply(
                            Microkernel.Left(
                                v.chunk(group / groupsAtOnce, plane: plane), rowStride: v.rowStride, step: 1),
                            rows: count, count: together * depth, u + weightPlane(plane) * weightStride, bStep: width,
                            into: m + plane * outStride, cStride: width, columns: columns, accumulate: group > 0)
                    }
                }
                if isForward {
                    for tile in 0..<count {
                        storeOutput(
                            m + tile * width, planeStride: outStride, tile: first + tile, table: table, output: result,
                            channels: channels, epilogue: epilogue, scratch: scratch)
                    }
                } else {
                    if first == 0 { clear(result, channels: channels) }
                    for tile in 0..<count {
                        addInputGradient(
                            m + tile * width, planeStride: outStride, tile: first + tile, table: table, to: result,
                            channels: channels, scratch: scratch)
                    }
                }
            }
        }
    }

    /// Tiles to keep transformed at a time: equal parts of all tiles, each of which fits into a few MiB of L3 cache.
    static func tilesAtOnce(_ tiles: Int, floatsPerTile: Int, limit: Int) -> Int {
        let most = max(24, min(limit, 1_900_000 / floatsPerTile))
        let parts = (tiles + most - 1) / most
        return (tiles + parts - 1) / parts
    }

    /// N of tile `tile` of the source, as row `row` of `planes`.
    @inline(never)
    static func transformOutputGradient(
        _ source: TileSource, tile: Int, to planes: TilePlanes, row: Int, scratch: UnsafeMutablePointer<Float>
    ) {
        source.transform(Axis.OutputTransposed.self, tile: tile, scratch: scratch) { i, j, group, groups, value in
            storeGroups(
                value, planes.group(group, row: row) + (i * Axis.points + j) * planes.planeStride, groupStride: 8,
                groups: groups)
        }
    }

    private static func clear(_ image: Tensor, channels: Range<Int>) {
        for pixel in 0..<image.pixels {
            (image.data + pixel * image.channels + channels.lowerBound).update(repeating: 0, count: channels.count)
        }
    }

    /// Adds the samples of one tile to the pixels they stand for.
    @inline(never)
    private static func addInputGradient(
        _ m: UnsafePointer<Float>, planeStride: Int, tile: Int, table: TileTable, to result: Tensor,
        channels: Range<Int>, scratch: UnsafeMutablePointer<Float>
    ) {
        let (rows, columns, hasZeros) = table.offsets(of: tile)
        for first in Swift.stride(from: 0, to: channels.count, by: vectorLanes) {
            let channel = channels.lowerBound + first
            let lanes = min(vectorLanes, channels.upperBound - channel)
            let target = result.data + channel
            let source = m + first * phases
            if lanes == vectorLanes && !hasZeros {
                transformTile(Axis.InputTransposed.self, scratch: scratch) { i, j in
                    let (plane, phase) = place(i, j, of: Axis.points)
                    return loadGroups(source + plane * planeStride + phase * 8, groupStride: 8 * phases)
                } store: { i, j, value in
                    let pixel = target + (rows[i] + columns[j])
                    storeVector(loadVector(pixel) + value, pixel)
                }
            } else {
                transformTile(Axis.InputTransposed.self, scratch: scratch) { i, j in
                    let (plane, phase) = place(i, j, of: Axis.points)
                    return loadGroups(source + plane * planeStride + phase * 8, groupStride: 8 * phases)
                } store: { i, j, value in
                    if rows[i] | columns[j] < 0 { return }
                    let pixel = target + (rows[i] + columns[j])
                    storeVector(loadVector(pixel, lanes: lanes) + value, pixel, lanes: lanes)
                }
            }
        }
    }
}
