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
    /// - Parameter plan: of the largest result.
    /// - Throws: `ExpansionFailure` with the size, the limit, and what to do.
    public func check(_ options: ExpansionOptions, _ plan: DoublingPlan) throws(ExpansionFailure) {
        let largest = PNGWriter.maxBytes(width: plan.width, height: plan.height, bitDepth: options.depth)
        let size = "\(plan.width)x\(plan.height) pixels of \(options.depth) bits"
        guard largest <= fileBytes else {
            let deep = options.depth == 16 ? ", or 8 bits" : ""
            throw ExpansionFailure(
                "a PNG of \(size) may have \(Readable.bytes(largest)), and a file on the cluster has at most "
                    + "\(Readable.bytes(fileBytes)); take a smaller size\(deep), or 'texloom expand' on your machine")
        }
        guard options.count <= pictures else {
            throw ExpansionFailure(
                "\(options.count) variations: a job makes at most \(pictures) pictures; take fewer, and another "
                    + "--then with another seed for more")
        }
        guard largest * options.count <= bytes else {
            throw ExpansionFailure(
                "\(options.count) pictures of \(size) may have \(Readable.bytes(largest * options.count)), and a job "
                    + "makes at most \(Readable.bytes(bytes)), which is \(bytes / largest) of them; take fewer, and "
                    + "another --then with another seed for more")
        }
    }
}
