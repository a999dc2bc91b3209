extension WinogradConvolution {
    /// Which way a panelled convolution goes.
    enum Direction { case forward, inputGradient }

    /// Convolution of an image with few tiles, or one whose results overlap: the tiles are transformed first, then each
    /// lane takes panels of 16 result channels through weight transform, products and result transform. Transformed
    /// weights never leave the cache, and a lane owns its channels of the result, so overlapping tiles of an input
    /// gradient, reflected borders among them, are added up in place.
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
        let width = isForward ? 16 : 16 * phases
        let row = groups * depth
        let most = min(tiles, 128)
        let groupsAtOnce = max(1, min(groups, 70_000 / (planes * depth * width)))
        let inStride = planeStride(most * row)
        let outStride = planeStride(most * width)
        let weightStride = planeStride(groupsAtOnce * depth * width)
        let planesOfTiles = arena.floats(planes * inStride)
        let laneCount = scratchCount + planes * (outStride + weightStride)
        let lanes = arena.floats(pool.threads * laneCount)

        for first in stride(from: 0, to: tiles, by: most) {
            let count = min(most, tiles - first)
            pool.run(
                blocks: count,
                lanes: { tile, lane in
                    let scratch = lanes + lane * laneCount
                    let target = planesOfTiles + tile * row
                    if isForward {
                        transformInput(source, tile: first + tile, to: target, planeStride: inStride, scratch: scratch)
                    } else {
                        transformOutputGradient(
                            source, tile: first + tile, to: target, planeStride: inStride, scratch: scratch)
                    }
                })
            pool.run(
                blocks: (result.channels + 15) / 16,
                lanes: { panel, lane in
                    let scratch = lanes + lane * laneCount
                    let u = scratch + scratchCount
                    let m = u + planes * weightStride
                    let channels = panel * 16..<min(panel * 16 + 16, result.channels)
                    for group in stride(from: 0, to: groups, by: groupsAtOnce) {
                        let together = min(groupsAtOnce, groups - group)
                        for i in 0..<together {
                            transformWeights(weights, row: (group + i) * 8, column: panel * 16, scratch: scratch) {
                                plane, phase, row, half, value in
                                let row = i * depth + (isForward ? phase * 8 : 0) + row
                                let column = isForward ? half * 8 : (half * phases + phase) * 8
                                store8(value, u + plane * weightStride + row * width + column)
                            }
                        }
                        for plane in 0..<planes {
                            let left = RegisterTile.Left(
                                planesOfTiles + plane * inStride + group * depth, rowStride: row, step: 1)
                            let right = u + plane * weightStride
                            let target = m + plane * outStride
                            for column in stride(from: 0, to: width, by: 16) {
                                if width == 16 && channels.count <= 8 {
                                    RegisterTile.multiply8(
                                        left, rows: count, count: together * depth, right, bStep: width, into: target,
                                        cStride: width, accumulate: group > 0)
                                } else {
                                    RegisterTile.multiply16(
                                        left, rows: count, count: together * depth, right + column, bStep: width,
                                        into: target + column, cStride: width, accumulate: group > 0)
                                }
                            }
                        }
                    }
                    if isForward {
                        for tile in 0..<count {
                            storeOutput(
                                m + tile * width, planeStride: outStride, tile: first + tile, table: table,
                                output: result,
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
                })
        }
    }

    private static func clear(_ image: Tensor, channels: Range<Int>) {
        for pixel in 0..<image.pixels {
            (image.data + pixel * image.channels + channels.lowerBound).update(repeating: 0, count: channels.count)
        }
    }

    /// Adds the samples of one tile to the pixels that they stand for.
    @inline(__always)
    private static func addInputGradient(
        _ m: UnsafePointer<Float>, planeStride: Int, tile: Int, table: TileTable, to result: Tensor,
        channels: Range<Int>, scratch: UnsafeMutablePointer<Float>
    ) {
        let (rows, columns, hasZeros) = table.offsets(of: tile)
        for group in 0..<(channels.count + 7) / 8 {
            let channel = channels.lowerBound + group * 8
            let lanes = min(8, channels.upperBound - channel)
            let target = result.data + channel
            let source = m + group * phases * 8
            if lanes == 8 && !hasZeros {
                transform(Axis.InputTransposed.self, scratch: scratch) { i, j in
                    let (plane, phase) = place(i, j)
                    return load8(source + plane * planeStride + phase * 8)
                } store: { i, j, value in
                    let pixel = target + (rows[i] + columns[j])
                    store8(load8(pixel) + value, pixel)
                }
            } else {
                transform(Axis.InputTransposed.self, scratch: scratch) { i, j in
                    let (plane, phase) = place(i, j)
                    return load8(source + plane * planeStride + phase * 8)
                } store: { i, j, value in
                    if rows[i] | columns[j] < 0 { return }
                    let pixel = target + (rows[i] + columns[j])
                    store8(load8(pixel, lanes: lanes) + value, pixel, lanes: lanes)
                }
            }
        }
    }
}
