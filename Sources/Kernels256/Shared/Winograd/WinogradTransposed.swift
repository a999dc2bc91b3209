import Tensors

/// Eight neighbouring results of a transposed 3-tap filter of stride 2, from five samples: the even results are the
/// middle tap times a sample (4 products), the odd ones F(4, 2) of the outer taps (5 products); 9 products instead of
/// 12. The first four points share the middle tap as their weight.
private enum F8x3Transposed: WinogradAxis {
    static var stride: Int { 1 }
    static var kernelSize: Int { 3 }
    static var outputTile: Int { 8 }
    static var phases: Int { 1 }
    static var points: Int { 9 }
    static var weightPoints: Int { 6 }
    @inline(__always)
    static func weightPoint(_ point: Int) -> Int { max(0, point - 3) }

    enum Input: AxisMap {
        static var from: Int { 5 }
        static var to: Int { 9 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            let d0 = load(0)
            let d1 = load(1)
            let d2 = load(2)
            let d3 = load(3)
            store(0, d0)
            store(1, d1)
            store(2, d2)
            store(3, d3)
            Five.input(d0, d1, d2, d3, load(4), at: 4, store)
        }
    }

    enum Weight: AxisMap {
        static var from: Int { 3 }
        static var to: Int { 6 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            store(0, load(1))
            Five.weight(load(2), load(0), at: 1, store)
        }
    }

    enum Output: AxisMap {
        static var from: Int { 9 }
        static var to: Int { 8 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            let odd = Five.output(at: 4, load)
            store(0, load(0))
            store(1, odd.0)
            store(2, load(1))
            store(3, odd.1)
            store(4, load(2))
            store(5, odd.2)
            store(6, load(3))
            store(7, odd.3)
        }
    }
}

extension WinogradConvolution {
    /// The gradient of a 3x3, stride-2 convolution with zero padding 1 in its input, which is a transposed convolution,
    /// by tiles of the result: nothing overlaps, so each pixel is written once.
    ///
    /// - Parameters:
    ///   - dInput: overwritten; `dOutput`'s sides doubled, or one less.
    static func transposed3x3(
        _ dOutput: Tensor, weight: UnsafePointer<Float>, dInput: Tensor, in workspace: Workspace
    ) where Axis == F4x3Stride2 {
        let arena = workspace.arena
        let tileRows = (dInput.height + F8x3Transposed.outputTile - 1) / F8x3Transposed.outputTile
        let tileColumns = (dInput.width + F8x3Transposed.outputTile - 1) / F8x3Transposed.outputTile
        arena.scoped {
            let source = TileSource(
                data: dOutput.data, mask: nil, channels: dOutput.channels,
                table: TileTable(
                    in: arena, of: dOutput, tileRows: tileRows, tileColumns: tileColumns,
                    size: F8x3Transposed.Input.from, start: 0, step: F8x3Transposed.outputTile / 2, padding: .none))
            let table = TileTable(
                in: arena, of: dInput, tileRows: tileRows, tileColumns: tileColumns, size: F8x3Transposed.outputTile,
                start: 0, step: F8x3Transposed.outputTile, padding: .none)
            let weights = WeightView(
                data: weight, kernelSize: 3, first: dInput.channels, second: dOutput.channels, transposed: true,
                turned: false
            )
            WinogradConvolution<F8x3Transposed>.blocked(
                source, tiles: dInput.images * tileRows * tileColumns, weights: weights, output: dInput, table: table,
                epilogue: Epilogue(), in: workspace)
        }
    }
}
