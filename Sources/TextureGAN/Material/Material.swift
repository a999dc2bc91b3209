import Imaging

/// The maps of one material: a picture with the channels of all maps, so that whatever happens to a pixel happens to all
/// maps alike.
public struct Material: Sendable, Equatable {
    public let name: String
    public let layout: MapLayout
    /// `layout.channels` channels of 16 bits. Only the albedo's are colours.
    public var pixels: DeepImage
    /// Bits of a sample in each map's file, 8 or 16, in the layout's order.
    public let depths: [Int]

    public init(name: String, layout: MapLayout, pixels: DeepImage, depths: [Int]) {
        precondition(pixels.channels == layout.channels && depths.count == layout.maps.count)
        self.name = name
        self.layout = layout
        self.pixels = pixels
        self.depths = depths
    }

    /// The albedo with 8 bits.
    public var albedo: Image { map(.albedo) ?? Image(width: 1, height: 1, pixels: [0, 0, 0]) }

    /// A map, with 8 or 16 bits; nil if there is none of this kind.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    public func map<Sample>(_ kind: MapKind) -> Raster<Sample>? {
        guard layout.maps.contains(kind) else { return nil }
        let samples: [Sample] = pixels.pixels.withUnsafeBufferPointer { layout.samples(of: kind, in: $0) }
        return Raster(width: pixels.width, height: pixels.height, channels: kind.channels, pixels: samples)
    }

    /// Gives the normals unit length.
    public mutating func normaliseNormals() {
        guard let range = layout.normals else { return }
        let channels = layout.channels
        pixels.pixels.withUnsafeMutableBufferPointer { values in
            for start in stride(from: range.lowerBound, to: values.count, by: channels) {
                (values[start], values[start + 1], values[start + 2]) = UnitNormal.samples(
                    of: (values[start], values[start + 1], values[start + 2]))
            }
        }
    }

    /// What reading the maps' files gives: samples rounded to their bits, normals of unit length.
    public var asWritten: Material {
        var written = self
        let channels = layout.channels
        for (kind, depth) in zip(layout.maps, depths) {
            guard let range = layout.range(of: kind) else { continue }
            let samples: [UInt16] = pixels.pixels.withUnsafeBufferPointer { values in
                if depth == 16 { return layout.samples(of: kind, in: values) }
                let rounded: [UInt8] = layout.samples(of: kind, in: values)
                return rounded.map { UInt16($0) * 257 }
            }
            for (index, sample) in samples.enumerated() {
                let (pixel, channel) = index.quotientAndRemainder(dividingBy: range.count)
                written.pixels.pixels[pixel * channels + range.lowerBound + channel] = sample
            }
        }
        return written
    }

    /// In pixels. At full size, large maps would make a sheet that texloom itself does not read.
    static let longestSheetSide = 4096

    /// All maps beside and below each other, in the layout's order, for people to look at. Scaled down where the longer
    /// side would exceed ``longestSheetSide``.
    var sheet: Image {
        let columns = Int(Double(layout.maps.count).squareRoot().rounded(.up))
        let rows = (layout.maps.count + columns - 1) / columns
        let scale = Double(Self.longestSheetSide) / Double(max(columns * pixels.width, rows * pixels.height))
        func scaled(_ side: Int) -> Int { scale < 1 ? max(1, Int(Double(side) * scale)) : side }
        let (width, height) = (scaled(pixels.width), scaled(pixels.height))
        var result = [UInt8](repeating: 0, count: columns * width * rows * height * 3)
        for (place, kind) in layout.maps.enumerated() {
            guard let whole: Image = map(kind) else { continue }
            let shown = scale < 1 ? whole.resized(width: width, height: height) : whole
            for y in 0..<height {
                let start = ((place / columns * height + y) * columns + place % columns) * width
                for x in 0..<width {
                    for channel in 0..<3 {
                        result[3 * (start + x) + channel] =
                            shown.pixels[(y * width + x) * shown.channels + min(channel, shown.channels - 1)]
                    }
                }
            }
        }
        return Image(width: columns * width, height: rows * height, pixels: result)
    }

    /// The material as a generator of a layout takes it: without the maps that the generator does not know, and with the
    /// green of its normals in the generator's direction.
    /// - Returns: the material, and a note for each map that is left out.
    /// - Throws: `TrainingError` (badExemplar) naming a map that is missing.
    public func arranged(as wanted: MapLayout) throws(TrainingError) -> (material: Material, notes: [String]) {
        if wanted == layout { return (self, []) }
        var sources: [(range: Range<Int>, depth: Int, turnsGreen: Bool)] = []
        for kind in wanted.maps {
            let found = layout.maps.firstIndex { $0 == kind || ($0.isNormal && kind.isNormal) }
            guard let found, let range = layout.range(of: layout.maps[found]) else {
                throw TrainingError(
                    .badExemplar,
                    "\(name) has the maps \(layout); the generator expects \(wanted): add \(kind.rawValue)")
            }
            sources.append((range, depths[found], layout.maps[found] != kind))
        }
        var values: [UInt16] = []
        values.reserveCapacity(pixels.width * pixels.height * wanted.channels)
        for start in stride(from: 0, to: pixels.pixels.count, by: layout.channels) {
            for source in sources {
                for channel in source.range {
                    let value = pixels.pixels[start + channel]
                    values.append(source.turnsGreen && channel == source.range.lowerBound + 1 ? .max - value : value)
                }
            }
        }
        let unused = layout.maps.filter { kind in
            !wanted.maps.contains { $0 == kind || ($0.isNormal && kind.isNormal) }
        }
        let material = Material(
            name: name, layout: wanted,
            pixels: DeepImage(
                width: pixels.width, height: pixels.height, channels: wanted.channels, pixels: values),
            depths: sources.map(\.depth))
        return (material, unused.map { "\(name): the map \($0.rawValue) is not used: the generator does not know it" })
    }
}

extension MapLayout {
    /// One map's samples, with 8 or 16 bits, of pixels with the channels of all maps. Normals get unit length.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    func samples<Sample: PictureSample>(of kind: MapKind, in pixels: UnsafeBufferPointer<UInt16>) -> [Sample] {
        guard let range = range(of: kind) else { preconditionFailure("the layout has no \(kind.rawValue)") }
        var result: [Sample] = []
        result.reserveCapacity(pixels.count / channels * range.count)
        for start in stride(from: range.lowerBound, to: pixels.count, by: channels) {
            if kind.isNormal {
                let unit: (x: Sample, y: Sample, z: Sample) = UnitNormal.samples(
                    of: (pixels[start], pixels[start + 1], pixels[start + 2]))
                result.append(unit.x)
                result.append(unit.y)
                result.append(unit.z)
            } else {
                for channel in 0..<range.count { result.append(Sample(rounding: pixels[start + channel])) }
            }
        }
        return result
    }

    /// Writes one map of rows with the channels of all maps.
    /// - Parameter depth: bits of the sink's samples, 8 or 16.
    public func write(
        _ kind: MapKind, of rows: UnsafeBufferPointer<UInt16>, to sink: some PictureSink, depth: Int
    ) throws {
        if depth == 16 {
            let samples: [UInt16] = samples(of: kind, in: rows)
            try samples.withUnsafeBufferPointer { try sink.write($0) }
        } else {
            let samples: [UInt8] = samples(of: kind, in: rows)
            try samples.withUnsafeBufferPointer { try sink.write($0) }
        }
    }
}

extension PictureSample {
    /// The nearest sample of one with 16 bits.
    init(rounding value: UInt16) {
        self = Self(Self.bitWidth == 16 ? Int(value) : (Int(value) + 128) / 257)
    }
}
