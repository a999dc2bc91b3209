/// The Gram matrix of a feature map: `F^T F / (H W)`, `[C, C]`, F being the map as `[H W, C]`.
public enum GramMatrix {
    /// Takes one image. Pixels are cut into at most eight parts whose products are added in order. OpenBLAS, whose
    /// kernels differ between CPU types, is not involved, so quality figures are the same everywhere.
    /// - Parameter gram: `[C, C]`, overwritten.
    public static func forward(_ features: Tensor, into gram: UnsafeMutablePointer<Float>, in workspace: Workspace) {
        let channels = features.channels
        let size = channels * channels
        let parts = min(8, (features.pixels + 511) / 512)
        workspace.arena.scoped {
            let partial = workspace.arena.floats(parts * size)
            let scratchSize = PanelProduct.scratch(columns: channels)
            let scratch = workspace.arena.floats(workspace.pool.threads * scratchSize)
            workspace.pool.run(blocks: parts) { part, lane in
                let start = part * features.pixels / parts
                let end = (part + 1) * features.pixels / parts
                PanelProduct.multiplyBySelf(
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
    public static func backward(
        _ features: Tensor, dGram: UnsafeMutablePointer<Float>, into dFeatures: Tensor, accumulate: Bool,
        in workspace: Workspace
    ) {
        dFeatures.requireShape(of: features)
        let channels = features.channels
        workspace.arena.scoped {
            let scaled = workspace.arena.floats(channels * channels)
            let share = 2 / Float(features.pixels)
            for index in 0..<channels * channels { scaled[index] = dGram[index] * share }
            let weights = Matrix(scaled, rows: channels, columns: channels)
            let grain = 512
            workspace.pool.run(over: features.pixels, grain: grain) { pixels in
                let rows = Matrix(
                    features.data + pixels.lowerBound * channels, rows: pixels.count, columns: channels)
                let target = Matrix(
                    dFeatures.data + pixels.lowerBound * channels, rows: pixels.count, columns: channels)
                multiply(rows, weights, into: target, accumulate: accumulate)
            }
        }
    }
}
