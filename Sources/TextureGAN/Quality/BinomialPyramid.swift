import NNCore

/// One step of a Gaussian pyramid: 1 4 6 4 1 across and down, edges repeated.
/// - Source: Burt & Adelson, "The Laplacian Pyramid as a Compact Image Code" (1983).
enum BinomialPyramid {
    /// Smooths an image.
    /// - Parameter output: overwritten, must not alias `input`.
    static func smooth(_ input: Tensor, into output: Tensor, in workspace: Workspace) {
        let length = input.width * input.channels
        let channels = input.channels
        workspace.arena.scoped {
            let across = Tensor(in: workspace.arena, like: input)
            workspace.pool.run(over: input.height, grain: 16) { rows in
                for y in rows {
                    let source = input.data + y * length
                    let target = across.data + y * length
                    func edge(_ x: Int) {
                        for channel in 0..<channels {
                            func at(_ offset: Int) -> Float {
                                source[min(max(x + offset, 0), input.width - 1) * channels + channel]
                            }
                            target[x * channels + channel] =
                                (6 * at(0) + 4 * (at(-1) + at(1)) + (at(-2) + at(2))) * (1 / 16)
                        }
                    }
                    for x in 0..<min(2, input.width) { edge(x) }
                    for x in max(2, input.width - 2)..<max(2, input.width) { edge(x) }
                    guard input.width > 4 else { continue }
                    let (one, two) = (channels, 2 * channels)
                    for i in two..<length - two {
                        target[i] =
                            (6 * source[i] + 4 * (source[i - one] + source[i + one])
                                + (source[i - two] + source[i + two])) * (1 / 16)
                    }
                }
            }
            workspace.pool.run(over: input.height, grain: 16) { rows in
                for y in rows {
                    func row(_ offset: Int) -> UnsafeMutablePointer<Float> {
                        across.data + min(max(y + offset, 0), input.height - 1) * length
                    }
                    let (a, b, c, d, e) = (row(-2), row(-1), row(0), row(1), row(2))
                    let target = output.data + y * length
                    for i in 0..<length { target[i] = (6 * c[i] + 4 * (b[i] + d[i]) + (a[i] + e[i])) * (1 / 16) }
                }
            }
        }
    }

    /// Every other pixel of every other row, in the arena.
    static func halved(_ input: Tensor, in workspace: Workspace) -> Tensor {
        let result = Tensor(
            in: workspace.arena, height: (input.height + 1) / 2, width: (input.width + 1) / 2, channels: input.channels)
        workspace.pool.run(over: result.height, grain: 32) { rows in
            for y in rows {
                for x in 0..<result.width {
                    let source = input.data + (2 * y * input.width + 2 * x) * input.channels
                    let target = result.data + (y * result.width + x) * input.channels
                    for channel in 0..<input.channels { target[channel] = source[channel] }
                }
            }
        }
        return result
    }
}
