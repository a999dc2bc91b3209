import Tensors

/// The Gram matrix of a feature map: `F^T F / (H W)`, `[C, C]`, F being the map as `[H W, C]`.
enum GramProduct {
    /// Takes one image. Pixels are cut into at most eight parts whose products are added in order.
    /// - Parameter gram: `[C, C]`, overwritten.
    static func forward(_ features: Tensor, into gram: UnsafeMutablePointer<Float>, in workspace: Workspace) {
        let channels = features.channels
        let size = channels * channels
        let parts = min(8, (features.pixels + 511) / 512)
        workspace.arena.scoped {
            let partial = workspace.arena.floats(parts * size)
            let scratchSize = PanelProducts.scratch(columns: channels)
            let scratch = workspace.arena.floats(workspace.pool.threads * scratchSize)
            workspace.pool.run(blocks: parts) { part, lane in
                let start = part * features.pixels / parts
                let end = (part + 1) * features.pixels / parts
                PanelProducts.multiplyBySelf(
                    Matrix(features.data + start * channels, rows: end - start, columns: channels),
                    into: Matrix(partial + part * size, rows: channels, columns: channels),
                    scratch: scratch + lane * scratchSize)
            }
            let share = 1 / Float(features.pixels)
            workspace.pool.run(over: channels, grain: 16) { rows in
                for row in rows {
                    for index in row * channels + row..<(row + 1) * channels {
                        var sum = partial[index]
                        for part in 1..<parts { sum += partial[part * size + index] }
                        gram[index] = sum * share
                    }
                }
            }
            workspace.pool.run(over: channels, grain: 16) { rows in
                for row in rows {
                    for column in 0..<row { gram[row * channels + column] = gram[column * channels + row] }
                }
            }
        }
    }

    /// `dFeatures = F (dG + dG^T) / (H W)`, for a symmetric `dGram`: `2 F dG / (H W)`.
    /// - Parameter accumulate: whether to add to `dFeatures` or overwrite it.
    static func backward(
        _ features: Tensor, dGram: UnsafePointer<Float>, into dFeatures: Tensor, accumulate: Bool,
        in workspace: Workspace
    ) {
        dFeatures.requireShape(of: features)
        let channels = features.channels
        let panel = RegisterTiles.panel
        let padded = (channels + panel - 1) / panel * panel
        let arena = workspace.arena
        arena.scoped {
            let share = 2 / Float(features.pixels)
            let packed = arena.floats(padded * channels)
            for row in 0..<channels {
                for column in 0..<padded {
                    packed[(column / panel * channels + row) * panel + column % panel] =
                        column < channels ? dGram[row * channels + column] * share : 0
                }
            }
            // A panel of results at a time, since the microkernel writes whole groups of 8 columns.
            let laneCount = pixelsAtOnce * panel
            let lanes = arena.floats(workspace.pool.threads * laneCount)
            workspace.pool.run(over: features.pixels, grain: pixelsAtOnce) { pixels, lane in
                let left = Microkernel.Left(
                    features.data + pixels.lowerBound * channels, rowStride: channels, step: 1)
                let results = lanes + lane * laneCount
                for first in stride(from: 0, to: channels, by: panel) {
                    let columns = min(panel, channels - first)
                    Microkernel.multiply(
                        left, rows: pixels.count, count: channels, packed + first * channels, bStep: panel,
                        into: results, cStride: panel, columns: columns, accumulate: false)
                    for pixel in 0..<pixels.count {
                        let target = dFeatures.data + (pixels.lowerBound + pixel) * channels + first
                        let source = results + pixel * panel
                        if accumulate {
                            for column in 0..<columns { target[column] += source[column] }
                        } else {
                            target.update(from: source, count: columns)
                        }
                    }
                }
            }
        }
    }

    /// Their features stay in the L2 cache while panels of the Gram matrix's gradient pass by.
    private static let pixelsAtOnce = 96
}
