import Imaging

/// Pixels beyond an image's borders that continue its texture: rings keep their direction, bricks their rows.
///
/// Blocks are copied from inside, from where the image looks most like what lies before the border, as in image
/// quilting (Efros & Freeman, SIGGRAPH 2001). They come from nearby, so that light and size match that place. A
/// mirrored margin instead bends every line that meets the border, and a generator shows the bend some ten pixels deep.
struct BorderContinuation {
    /// Pixels to add beyond each border.
    let margin: Int

    /// Side of a block's new part.
    private static let block = 16
    /// Pixels by which a block overlaps the image inside the border and the previous block.
    private static let overlap = 8
    /// The greatest distance of a block's source, in pixels along the border and away from it.
    private static let reach = 48
    /// Columns of a block.
    private static let width = block + overlap

    /// The image with `margin` pixels beyond each border; mirrored ones if it is too small to copy from.
    ///
    /// A function of the pixels alone: distances are integers, and of equal ones the first counts.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    func extended<Sample>(_ image: Raster<Sample>) -> Raster<Sample> {
        var result = mirrored(image)
        guard min(image.width, image.height) >= margin + 2 * Self.width else { return result }
        let (wide, high, channels) = (result.width, result.height, result.channels)
        // Above and below first; left and right then continue the corners as well.
        for isFlipped in [false, true] {
            fill(&result, length: image.width, depth: image.height) { row, along in
                ((isFlipped ? high - 1 - row : row) * wide + margin + along) * channels
            }
        }
        for isFlipped in [false, true] {
            fill(&result, length: high, depth: image.width) { row, along in
                (along * wide + (isFlipped ? wide - 1 - row : row)) * channels
            }
        }
        return result
    }

    /// Fills the margin of one side.
    /// - Parameters:
    ///   - length: length of the side.
    ///   - depth: extent of the image perpendicular to the side.
    ///   - offset: offset of a pixel of the result, by its row (counted inwards from the outermost) and its place along
    ///     the side.
    private func fill<Sample>(
        _ result: inout Raster<Sample>, length: Int, depth: Int, offset: (_ row: Int, _ along: Int) -> Int
    ) {
        let channels = result.channels
        let rows = margin + min(depth, Self.reach + margin + Self.overlap)
        var strip = [Sample](repeating: 0, count: rows * length * channels)
        for row in margin..<rows {
            for along in 0..<length {
                for channel in 0..<channels {
                    strip[(row * length + along) * channels + channel] = result.pixels[offset(row, along) + channel]
                }
            }
        }
        var start = 0
        while start < length {
            let along = min(start, length - Self.block)
            let left = max(0, min(along - Self.overlap, length - Self.width))
            let source = bestSource(for: left, overlap: along - left, in: strip, rows: rows, length: length, channels)
            copy(source, to: left, overlap: along - left, in: &strip, length: length, channels)
            start += Self.block
        }
        for row in 0..<margin {
            for along in 0..<length {
                for channel in 0..<channels {
                    result.pixels[offset(row, along) + channel] = strip[(row * length + along) * channels + channel]
                }
            }
        }
    }

    /// The corner of the block whose end is most similar to the image inside the border at `left`, and whose first
    /// `overlap` columns are most similar to the previous block.
    private func bestSource<Sample: PictureSample>(
        for left: Int, overlap: Int, in strip: [Sample], rows: Int, length: Int, _ channels: Int
    ) -> (row: Int, left: Int) {
        var best = (row: margin, left: left)
        var least = Int.max
        strip.withUnsafeBufferPointer { strip in
            for row in margin...rows - margin - Self.overlap {
                for column in max(0, left - Self.reach)...min(length - Self.width, left + Self.reach) {
                    var distance = 0
                    for line in 0..<Self.overlap where distance < least {
                        distance +=
                            (Self.overlap - line)
                            * difference(
                                strip, ((row + margin + line) * length + column) * channels,
                                ((margin + line) * length + left) * channels, Self.width * channels)
                    }
                    if overlap > 0 {
                        for line in 0..<margin where distance < least {
                            distance +=
                                Self.overlap / 2
                                * difference(
                                    strip, ((row + line) * length + column) * channels,
                                    (line * length + left) * channels, overlap * channels)
                        }
                    }
                    if distance < least { (least, best) = (distance, (row, column)) }
                }
            }
        }
        return best
    }

    /// The sum of the squared differences of two runs of values, of their upper 8 bits.
    private func difference<Sample: PictureSample>(
        _ values: UnsafeBufferPointer<Sample>, _ a: Int, _ b: Int, _ count: Int
    ) -> Int {
        let shift = Sample.bitWidth - 8
        var sum: Int32 = 0
        for index in 0..<count {
            let difference = Int32(values[a + index] >> shift) - Int32(values[b + index] >> shift)
            sum &+= difference &* difference
        }
        return Int(sum)
    }

    /// Copies a block into the margin. It fades in over the columns that it shares with the previous block.
    private func copy<Sample: PictureSample>(
        _ source: (row: Int, left: Int), to left: Int, overlap: Int, in strip: inout [Sample], length: Int,
        _ channels: Int
    ) {
        for line in 0..<margin {
            for column in 0..<Self.width {
                for channel in 0..<channels {
                    let target = (line * length + left + column) * channels + channel
                    let new = Int(
                        strip[((source.row + line) * length + source.left + column) * channels + channel])
                    let old = Int(strip[target])
                    let share = column < overlap ? column + 1 : overlap + 1
                    strip[target] = Sample((old * (overlap + 1 - share) + new * share) / (overlap + 1))
                }
            }
        }
    }

    private func mirrored<Sample>(_ image: Raster<Sample>) -> Raster<Sample> {
        var pixels: [Sample] = []
        let (wide, high) = (image.width + 2 * margin, image.height + 2 * margin)
        let channels = image.channels
        pixels.reserveCapacity(wide * high * channels)
        for y in -margin..<image.height + margin {
            let row = mirroredPosition(y, image.height) * image.width
            for x in -margin..<image.width + margin {
                let source = (row + mirroredPosition(x, image.width)) * channels
                pixels += image.pixels[source..<source + channels]
            }
        }
        return Raster(width: wide, height: high, channels: channels, pixels: pixels)
    }
}

/// Where a position beyond 0 ..< length lands when a row of pixels is mirrored back and forth.
func mirroredPosition(_ position: Int, _ length: Int) -> Int {
    if length == 1 { return 0 }
    let period = 2 * (length - 1)
    let phase = (position % period + period) % period
    return phase < length ? phase : period - phase
}
