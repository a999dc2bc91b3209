import Tensors

/// A square convolution by Winograd's method, with the sizes of one call.
///
/// All three directions turn tiles and weights into planes, one for each pair of points, multiply plane by
/// plane, and turn the result back:
///
///     forward          V = in(x)    U = w(g)     y  = out(V U)
///     input gradient   N = out'(dy) U = w(g)     dx = in'(N U')
///     weight gradient  V = in(x)    N = out'(dy) dg = w'(V' N)
///
/// A plane of a tile holds its channels in groups of 8, each group once per phase: `[group, phase, 8]`.
struct WinogradConvolution<Axis: WinogradAxis> {
    let inputChannels: Int
    let outputChannels: Int
    let images: Int
    /// Of one image.
    let tileRows: Int
    let tileColumns: Int
    let padding: Padding

    /// - Parameters:
    ///   - input: shape of the input (or of its gradient).
    ///   - output: shape of the output (or of its gradient).
    init(input: Tensor, padding: Padding, output: Tensor) {
        padding.check(input: input, output: output, kernelSize: Axis.kernelSize, stride: Axis.stride)
        inputChannels = input.channels
        outputChannels = output.channels
        images = output.images
        tileRows = (output.height + Axis.outputTile - 1) / Axis.outputTile
        tileColumns = (output.width + Axis.outputTile - 1) / Axis.outputTile
        self.padding = padding
    }

    /// Of all images.
    var tiles: Int { images * tileRows * tileColumns }
    static var planes: Int { Axis.points * Axis.points }
    static var weightPlanes: Int { Axis.weightPoints * Axis.weightPoints }
    static var phases: Int { Axis.phases * Axis.phases }
    /// The plane of weights that multiplies a plane of tiles.
    @inline(__always)
    static func weightPlane(_ plane: Int) -> Int {
        Axis.weightPoint(plane / Axis.points) * Axis.weightPoints + Axis.weightPoint(plane % Axis.points)
    }
    /// Whether this plane of tiles is the first that its plane of weights multiplies.
    @inline(__always)
    static func isFirst(_ plane: Int) -> Bool {
        isFirst(point: plane / Axis.points) && isFirst(point: plane % Axis.points)
    }
    @inline(__always)
    private static func isFirst(point: Int) -> Bool {
        point == 0 || Axis.weightPoint(point) != Axis.weightPoint(point - 1)
    }
    /// Samples of the input under a tile, along one axis.
    private static var samples: Int { Axis.Input.from }

    /// Scratch of one lane for the transforms.
    static var scratchCount: Int { transformCount + Axis.kernelSize * Axis.kernelSize * 128 }
    /// The part of the scratch that a transform uses, at its start.
    static var transformCount: Int {
        vectorLanes * max(Axis.Input.from * Axis.Input.to, Axis.Output.from * Axis.Output.to)
    }

    @inline(__always)
    static func planeStride(_ count: Int) -> Int { count + 16 }

    func inputTable(_ image: Tensor, in arena: Arena) -> TileTable {
        TileTable(
            in: arena, of: image, tileRows: tileRows, tileColumns: tileColumns, size: Self.samples,
            start: -padding.amount, step: Axis.outputTile * Axis.stride, padding: padding)
    }

    func outputTable(_ image: Tensor, in arena: Arena) -> TileTable {
        TileTable(
            in: arena, of: image, tileRows: tileRows, tileColumns: tileColumns, size: Axis.outputTile,
            start: 0, step: Axis.outputTile, padding: .none)
    }

    /// V of tile `tile` of the source, as row `row` of `planes`.
    @inline(never)
    static func transformInput(
        _ source: TileSource, tile: Int, to planes: TilePlanes, row: Int, scratch: UnsafeMutablePointer<Float>
    ) {
        source.transform(Axis.Input.self, tile: tile, scratch: scratch) { i, j, group, groups, value in
            let (plane, phase) = place(i, j, of: Axis.points)
            storeGroups(
                value, planes.group(group, row: row) + plane * planes.planeStride + phase * 8, groupStride: 8 * phases,
                groups: groups)
        }
    }

    /// The plane and phase of element (i, j) of a transformed tile (`points`) or filter (`weightPoints`).
    @inline(__always)
    static func place(_ i: Int, _ j: Int, of points: Int) -> (plane: Int, phase: Int) {
        if Axis.phases == 1 { return (i * points + j, 0) }
        return (i % points * points + j % points, i / points * Axis.phases + j / points)
    }

    /// Calls `store(plane, phase, row, column, value)` for the transformed weights of 8 rows and 16 columns, a vector of
    /// columns at a time.
    @inline(__always)
    static func transformWeights(
        _ weights: WeightView, row: Int, column: Int, scratch: UnsafeMutablePointer<Float>,
        store: (Int, Int, Int, Int, Vector) -> Void
    ) {
        let copy = scratch + transformCount
        weights.copy(row: row, column: column, to: copy)
        for row in 0..<8 {
            for column in Swift.stride(from: 0, to: 16, by: vectorLanes) {
                let source = copy + row * 16 + column
                transformTile(Axis.Weight.self, scratch: scratch) { i, j in
                    loadVector(source + (i * Axis.kernelSize + j) * 128)
                } store: { i, j, value in
                    let (plane, phase) = place(i, j, of: Axis.weightPoints)
                    store(plane, phase, row, column, value)
                }
            }
        }
    }
}
