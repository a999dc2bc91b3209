/// The mean and variance of each channel of an image that is computed in pieces.
///
/// Pieces are added in double precision (Chan et al.), so the result differs from the whole image's only in the last
/// rounding, and does not depend on the number of threads.
public struct MomentSum {
    private var count = 0.0
    private var mean: [Double]
    private var squares: [Double]

    public init(channels: Int) {
        mean = Array(repeating: 0, count: channels)
        squares = mean
    }

    /// Adds a window of a piece.
    public mutating func add(
        _ piece: Tensor, rows: Range<Int>, columns: Range<Int>, in workspace: Workspace
    ) {
        let channels = piece.channels
        workspace.arena.scoped {
            let partial = workspace.arena.floats(rows.count * 2 * channels)
            workspace.pool.run(blocks: rows.count) { row in
                let rowMean = partial + row * 2 * channels
                Normalisation.blockMoments(
                    piece.data + ((rows.lowerBound + row) * piece.width + columns.lowerBound) * channels,
                    pixels: columns.count, channels: channels, mean: rowMean, squares: rowMean + channels)
            }
            let added = Double(columns.count)
            for row in 0..<rows.count {
                let rowMean = partial + row * 2 * channels
                let total = count + added
                for channel in 0..<channels {
                    let difference = Double(rowMean[channel]) - mean[channel]
                    mean[channel] += difference * added / total
                    squares[channel] +=
                        Double(rowMean[channels + channel]) + difference * difference * count * added / total
                }
                count = total
            }
        }
    }

    /// Writes the statistics of everything added so far.
    public func write(to statistics: ChannelStatistics) {
        for channel in 0..<mean.count {
            statistics.mean[channel] = Float(mean[channel])
            statistics.inverseDeviation[channel] =
                Float(1 / (squares[channel] / count + Double(ChannelStatistics.epsilon)).squareRoot())
        }
    }
}
