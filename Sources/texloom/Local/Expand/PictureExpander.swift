import Imaging
import Machine
import NNCore
import TextureGAN

/// Doubles pictures within a memory limit.
struct PictureExpander {
    let generator: Generator
    let statistics: ExpandCommand.Statistics
    /// Along which results tile; nil for results that do not.
    let axes: TorusAxes?
    /// Nil for a limit that depends on the process and on the result.
    let memoryMiB: Int?
    let workspace: Workspace

    /// MiB for results of more than the standard size, unless the norms need more.
    private static let largeResultMiB = 512

    /// Doubles a picture as planned and writes the rows of the result.
    /// - Parameter progress: called with the finished share.
    /// - Throws: `CommandFailure` saying how much memory is needed, or why the file cannot be written.
    func expand<Sample>(
        _ input: consuming Raster<Sample>, by plan: DoublingPlan, to output: some ExpansionOutput,
        progress: @escaping (Double) -> Void
    ) throws -> [ExpansionReport.Output] {
        let began = ContinuousClock.now
        let limit = memoryLimit(forWidth: plan.width, height: plan.height)
        func share(_ doubling: Int) -> (Double) -> Void { { progress(plan.share(after: doubling - 1, and: $0)) } }
        try output.open()
        var picture = input
        for doubling in 1..<plan.doublings {
            picture = try doubled(
                consume picture, to: plan.size(after: doubling), limit, progress: share(doubling))
            // The next picture needs the memory more.
            workspace.arena.returnPages(above: 0)
        }
        var seam: Seam?
        if axes != nil {
            let tile = try doubled(
                consume picture, to: plan.size(after: plan.doublings), limit, progress: share(plan.doublings))
            seam = Seam(tile.eightBits)
            try tile.pixels.withUnsafeBufferPointer { try output.write($0) }
        } else {
            try rows(of: consume picture, (plan.width, plan.height), limit, progress: share(plan.doublings)) {
                try output.write($0)
            }
        }
        return try output.finish().map { file in
            ExpansionReport.Output(
                path: file.path, map: file.map, width: plan.width, height: plan.height, depth: file.depth,
                sha256: file.sha256, seconds: (ContinuousClock.now - began) / .seconds(1), axes: axes ?? [], seam: seam)
        }
    }

    private func doubled<Sample>(
        _ picture: consuming Raster<Sample>, to size: (width: Int, height: Int), _ limit: Int,
        progress: (Double) -> Void
    ) throws -> Raster<Sample> {
        if let axes {
            return try withinMemory(limit, picture.width, picture.height) {
                try Expansion.seamless(
                    picture, along: axes, with: generator, statistics: norms, memoryLimit: limit, in: workspace,
                    progress: progress)
            }.cropped(x: 0, y: 0, width: size.width, height: size.height)
        }
        var pixels: [Sample] = []
        let channels = picture.channels
        pixels.reserveCapacity(size.width * size.height * channels)
        try rows(of: consume picture, size, limit, progress: progress) { pixels += $0 }
        return Raster(width: size.width, height: size.height, channels: channels, pixels: pixels)
    }

    private func rows<Sample>(
        of picture: consuming Raster<Sample>, _ size: (width: Int, height: Int), _ limit: Int,
        progress: (Double) -> Void,
        to sink: (UnsafeBufferPointer<Sample>) throws -> Void
    ) throws {
        let (sourceWidth, sourceHeight) = (picture.width, picture.height)
        do {
            try Expansion.rows(
                of: consume picture, width: size.width, height: size.height, with: generator, statistics: norms,
                memoryLimit: limit, in: workspace, progress: progress, to: sink)
        } catch let error as ExpansionError {
            throw failure(error, limit, sourceWidth, sourceHeight)
        }
    }

    /// Twice the size.
    func doubled(_ image: Image) throws -> Image {
        let limit = memoryLimit(forWidth: 2 * image.width, height: 2 * image.height)
        return try withinMemory(limit, image.width, image.height) {
            try Expansion.expand(image, with: generator, statistics: norms, memoryLimit: limit, in: workspace)
        }
    }

    private var norms: BatchNorm.Statistics { statistics == .image ? .image : .running }

    /// Bytes for features and scratch.
    private func memoryLimit(forWidth width: Int, height: Int) -> Int {
        var wanted = memoryMiB.map { $0 << 20 } ?? MachineAllowance.current.memoryBytes / 4 * 3
        let isLarge = !ImageLimits.standard.allow(width: width, height: height)
        if memoryMiB == nil, isLarge, !generator.measures(for: norms) {
            wanted = min(wanted, Self.largeResultMiB << 20)
        }
        // Less than the limit where address space is limited.
        return max(0, min(wanted, Expansion.memoryLimit(in: workspace)))
    }

    private func withinMemory<Result>(
        _ limit: Int, _ width: Int, _ height: Int, _ body: () throws -> Result
    ) throws -> Result {
        do {
            return try body()
        } catch let error as ExpansionError {
            throw failure(error, limit, width, height)
        }
    }

    private func failure(_ error: ExpansionError, _ limit: Int, _ width: Int, _ height: Int) -> CommandFailure {
        CommandFailure(
            "\(width)x\(height) pixels do not fit in the \(limit >> 20) MiB of --memory: expected at least "
                + "\((error.neededBytes >> 20) + 1) MiB"
                + (statistics == .image ? ", or --statistics running, which can use smaller pieces" : ""),
            exit: .usage)
    }
}
