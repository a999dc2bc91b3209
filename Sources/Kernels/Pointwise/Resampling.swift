import Tensors

/// 2x2 maximum pooling with stride 2; an odd last row or column is dropped, as in PyTorch.
public enum MaxPool {
    /// Returns the output, in the workspace's arena.
    public static func forward(_ input: Tensor, in workspace: Workspace) -> Tensor {
        let output = Tensor(
            in: workspace.arena, images: input.images, height: input.height / 2, width: input.width / 2,
            channels: input.channels)
        let channels = input.channels
        let rowStride = input.width * channels
        workspace.pool.run(over: output.images * output.height, grain: 2) { rows in
            for y in rows {
                let inputRow = y / output.height * input.height + y % output.height * 2
                for x in 0..<output.width {
                    let corner = input.data + (inputRow * input.width + 2 * x) * channels
                    let target = output.data + (y * output.width + x) * channels
                    for channel in 0..<channels {
                        let top = max(corner[channel], corner[channel + channels])
                        let bottom = max(corner[channel + rowStride], corner[channel + rowStride + channels])
                        target[channel] = max(top, bottom)
                    }
                }
            }
        }
        return output
    }

    /// Overwrites `dInput`, one image. Each window's gradient belongs to its first maximum in reading order.
    public static func backward(input: Tensor, dOutput: Tensor, dInput: Tensor, in workspace: Workspace) {
        dInput.requireShape(of: input)
        require(input.images == 1, "the gradient of pooling takes one image, found \(input.images)")
        let channels = input.channels
        let rowStride = input.width * channels
        workspace.pool.run(over: (input.height + 1) / 2, grain: 2) { rows in
            for y in rows {
                let start = 2 * y * rowStride
                if 2 * y + 1 >= input.height {
                    (dInput.data + start).update(repeating: 0, count: rowStride)
                    continue
                }
                for x in 0..<dOutput.width {
                    let corner = input.data + start + 2 * x * channels
                    let target = dInput.data + start + 2 * x * channels
                    let gradient = dOutput.data + (y * dOutput.width + x) * channels
                    for channel in 0..<channels {
                        let a = corner[channel]
                        let b = corner[channel + channels]
                        let c = corner[channel + rowStride]
                        let d = corner[channel + rowStride + channels]
                        let g = gradient[channel]
                        let inTop = max(a, b) >= max(c, d)
                        target[channel] = inTop && a >= b ? g : 0
                        target[channel + channels] = inTop && a < b ? g : 0
                        target[channel + rowStride] = !inTop && c >= d ? g : 0
                        target[channel + rowStride + channels] = !inTop && c < d ? g : 0
                    }
                }
                if input.width % 2 == 1 {
                    for row in 0...1 {
                        (dInput.data + start + (row + 1) * rowStride - channels).update(repeating: 0, count: channels)
                    }
                }
            }
        }
    }
}

/// Nearest-neighbour enlargement to twice the size.
public enum NearestUpsample {
    /// Returns the output, in the workspace's arena.
    public static func forward(_ input: Tensor, in workspace: Workspace) -> Tensor {
        let channels = input.channels
        let output = Tensor(
            in: workspace.arena, images: input.images, height: 2 * input.height, width: 2 * input.width,
            channels: channels)
        workspace.pool.run(over: output.images * output.height, grain: 2) { rows in
            for y in rows {
                for x in 0..<output.width {
                    (output.data + (y * output.width + x) * channels)
                        .update(from: input.data + (y / 2 * input.width + x / 2) * channels, count: channels)
                }
            }
        }
        return output
    }

    /// Overwrites `dInput`.
    public static func backward(dOutput: Tensor, dInput: Tensor, in workspace: Workspace) {
        let channels = dInput.channels
        let rowStride = dOutput.width * channels
        workspace.pool.run(over: dInput.images * dInput.height, grain: 2) { rows in
            for y in rows {
                for x in 0..<dInput.width {
                    let corner = dOutput.data + (2 * y * dOutput.width + 2 * x) * channels
                    let target = dInput.data + (y * dInput.width + x) * channels
                    for channel in 0..<channels {
                        target[channel] =
                            (corner[channel] + corner[channel + channels])
                            + (corner[channel + rowStride] + corner[channel + rowStride + channels])
                    }
                }
            }
        }
    }
}
