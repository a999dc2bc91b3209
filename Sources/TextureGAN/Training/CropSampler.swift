import NNCore

/// Draws the next pair of crops: a 2k x 2k target, uniform in the exemplar, and a k x k source, uniform in the target.
public struct CropSampler: Sendable {
    public struct Crops: Sendable, Equatable {
        /// The target's corner in the exemplar.
        public var targetY, targetX: Int
        /// The source's corner in the target.
        public var sourceY, sourceX: Int
    }

    public let k: Int
    public let width: Int
    public let height: Int
    public var stream: RandomStream

    public mutating func next() -> Crops {
        Crops(
            targetY: stream.integer(through: height - 2 * k), targetX: stream.integer(through: width - 2 * k),
            sourceY: stream.integer(through: k), sourceX: stream.integer(through: k))
    }
}

extension Tensor {
    /// Some channels of an image, copied into an arena.
    func channels(_ range: Range<Int>, in arena: Arena) -> Tensor {
        let result = Tensor(in: arena, height: height, width: width, channels: range.count)
        for pixel in 0..<pixels {
            (result.data + pixel * range.count)
                .update(from: data + pixel * channels + range.lowerBound, count: range.count)
        }
        return result
    }

    /// A window of an image, copied into an arena.
    func window(y: Int, x: Int, height: Int, width: Int, in arena: Arena) -> Tensor {
        precondition(y >= 0 && x >= 0 && y + height <= self.height && x + width <= self.width)
        let result = Tensor(in: arena, height: height, width: width, channels: channels)
        for row in 0..<height {
            (result.data + row * width * channels)
                .update(from: data + ((y + row) * self.width + x) * channels, count: width * channels)
        }
        return result
    }
}
