import Base
import Imaging

/// How much one job may make.
public struct ProductLimits: Sendable, Equatable {
    /// Bytes of a file.
    public var fileBytes: Int
    public var pictures: Int
    /// Bytes of all its files together.
    public var bytes: Int

    public init(fileBytes: Int, pictures: Int, bytes: Int) {
        self.fileBytes = fileBytes
        self.pictures = pictures
        self.bytes = bytes
    }

    /// Checks what options make, before any work.
    /// - Parameters:
    ///   - layout: of the generator; each map is a file.
    ///   - plan: of the largest result.
    /// - Throws: `ExpansionFailure` with the size, the limit, and what to do.
    public func check(
        _ options: ExpansionOptions, _ plan: DoublingPlan, of layout: MapLayout = .picture
    ) throws(ExpansionFailure) {
        // The maps of a material keep the depth of their inputs, which is at most 16.
        let depth = options.depth ?? (layout.isMaterial ? 16 : 8)
        func largest(channels: Int) -> Int {
            PNGWriter.maxBytes(width: plan.width, height: plan.height, channels: channels, bitDepth: depth)
        }
        let size = "\(plan.width)x\(plan.height) pixels of \(depth) bits"
        guard largest(channels: 3) <= fileBytes else {
            let deep = depth == 16 ? ", or 8 bits" : ""
            throw ExpansionFailure(
                "a PNG of \(size) may have \(Readable.bytes(largest(channels: 3))), and a file on the cluster has at "
                    + "most \(Readable.bytes(fileBytes)); take a smaller size\(deep), or 'texloom expand' on your machine"
            )
        }
        let files = layout.isMaterial ? " of \(layout.maps.count) maps" : ""
        guard options.count * layout.maps.count <= pictures else {
            throw ExpansionFailure(
                "\(options.count) variations\(files): a job makes at most \(pictures) pictures; take fewer, and another "
                    + "--then with another seed for more")
        }
        let each = layout.maps.reduce(0) { $0 + largest(channels: $1.channels) }
        guard each * options.count <= bytes else {
            throw ExpansionFailure(
                "\(options.count) pictures\(files) of \(size) may have \(Readable.bytes(each * options.count)), and a job "
                    + "makes at most \(Readable.bytes(bytes)), which is \(bytes / each) of them; take fewer, and "
                    + "another --then with another seed for more")
        }
    }
}
