import Foundation
import Imaging

extension MaterialFiles {
    /// One map with its samples.
    private struct Map {
        let kind: MapKind
        let samples: [UInt16]
        let depth: Int
    }

    /// Reads all files. The albedo is converted to sRGB; the samples of all others are taken as they are.
    /// - Parameters:
    ///   - framing: the part to take, the same of all maps.
    ///   - limits: of the material. The files of which a part is taken may be larger.
    /// - Returns: the material, and notes for people.
    /// - Throws: `TrainingError` (badExemplar) naming the file and its fault, or two files of different sizes;
    ///   fileSystem if the system does not give a file's bytes.
    public func read(
        _ framing: Framing = Framing(), limits: ImageLimits = .exemplar
    ) throws(TrainingError) -> (Material, notes: [String]) {
        var notes = notes
        var maps: [Map] = []
        var first: (name: String, width: Int, height: Int)?
        for file in ordered {
            let decoded = try decode(file, framing.isEmpty ? limits : .standard)
            notes += decoded.notes.map { "\(file.name): \($0)" }
            let (width, height) = (decoded.image.width, decoded.image.height)
            if let first, first.width != width || first.height != height {
                throw TrainingError(
                    .badExemplar,
                    "\(first.name) has \(first.width)x\(first.height) pixels and \(file.name) \(width)x\(height); the maps "
                        + "of a material have one size: scale one of them, or download both at the same resolution")
            }
            first = first ?? (file.name, width, height)
            maps += self.maps(in: decoded, of: file, besides: maps.map(\.kind), &notes)
        }
        guard let first, let layout = MapLayout(maps.map(\.kind)) else {
            preconditionFailure("the files have an albedo and each map once")
        }
        let sorted = layout.maps.compactMap { kind in maps.first { $0.kind == kind } }
        let whole = DeepImage(
            width: first.width, height: first.height, channels: layout.channels, pixels: Self.interleaved(sorted))
        var material = Material(
            name: name, layout: layout, pixels: try framed(whole, framing, limits), depths: sorted.map(\.depth))
        if framing.longestSide != nil { material.normaliseNormals() }
        return (material, notes)
    }

    /// Packed maps come last: a file of its own counts more.
    private var ordered: [File] { files.filter { !$0.isPacked } + files.filter(\.isPacked) }

    /// What the files say before any is decoded: the size of the first map, and the most bytes that
    /// ``read(_:limits:)`` of the whole maps takes.
    /// - Throws: `TrainingError` (badExemplar) naming the file and its fault; fileSystem if the system does not give a
    ///   file's bytes.
    public func header(
        limits: ImageLimits = .exemplar
    ) throws(TrainingError) -> (width: Int, height: Int, readingBytes: Int) {
        var first: (width: Int, height: Int)?
        var channels = 0
        var most = 0
        for file in ordered {
            let (header, fileBytes) = try header(of: file, limits)
            let pixels = header.width * header.height
            first = first ?? (header.width, header.height)
            // The maps before it, and of this one colours and alpha with 16 bits, then as much again: the rows of an
            // interlaced PNG, a turned copy, the maps of a packed file. A JPEG takes less.
            most = max(most, fileBytes + (2 * channels + 16) * pixels)
            channels += file.mostChannels
            // All maps, side by side.
            most = max(most, 4 * channels * pixels)
        }
        guard let first else { preconditionFailure("the files have an albedo") }
        return (first.width, first.height, most)
    }

    private func header(
        of file: File, _ limits: ImageLimits
    ) throws(TrainingError) -> (ImageHeader, fileBytes: Int) {
        do throws(ImagingError) {
            let bytes = try Image.bytes(of: file.url, limits: limits)
            return (try Image.header(of: bytes, name: file.name, limits: limits), bytes.count)
        } catch {
            throw TrainingError(error)
        }
    }

    private func decode(_ file: File, _ limits: ImageLimits) throws(TrainingError) -> DecodedMap {
        let decoded: DecodedMap
        do throws(ImagingError) {
            decoded = try DecodedMap(
                Image.bytes(of: file.url, limits: limits), isColour: file.content == .map(.albedo), name: file.name,
                limits: limits)
        } catch {
            throw TrainingError(error)
        }
        if case .map(let kind) = file.content, kind.isNormal, decoded.wasTurned {
            throw TrainingError(
                .badExemplar,
                "\(file.name) is stored turned (EXIF orientation), so the directions of its normals are not certain; "
                    + "save it upright")
        }
        return decoded
    }

    private func framed(
        _ image: DeepImage, _ framing: Framing, _ limits: ImageLimits
    ) throws(TrainingError) -> DeepImage {
        do {
            let result = try framing.frame(image, name: name)
            guard limits.allow(width: result.width, height: result.height) else {
                throw limits.tooLarge(name, result.width, result.height)
            }
            return result
        } catch {
            throw TrainingError(.badExemplar, "\(error)")
        }
    }

    /// The maps of a file, except those that another file contains.
    private func maps(
        in decoded: DecodedMap, of file: File, besides given: [MapKind], _ notes: inout [String]
    ) -> [Map] {
        func channel(_ index: Int, _ kind: MapKind) -> Map {
            let pixels = decoded.image.pixels
            return Map(
                kind: kind, samples: stride(from: index, to: pixels.count, by: 3).map { pixels[$0] },
                depth: decoded.bitDepth)
        }
        switch file.content {
        case .packed(let hasOcclusion):
            let kinds: [(Int, MapKind)] =
                (hasOcclusion ? [(0, .ambientOcclusion)] : []) + [(1, .roughness), (2, .metalness)]
            let known = kinds.filter { given.contains($0.1) }.map(\.1.rawValue)
            if known.count == kinds.count {
                notes.append("\(file.name) is not used: other files contain its maps")
            } else if !known.isEmpty {
                let names = known.joined(separator: " and ")
                notes.append("\(file.name): its \(names) is not used: another file contains it")
            }
            return kinds.filter { !given.contains($0.1) }.map(channel)
        case .map(let kind) where kind.channels == 1:
            if Self.hasColours(decoded.image) { notes.append("\(file.name) has colours: its red channel is taken") }
            return [channel(0, kind)]
        case .map(let kind):
            let map = Map(kind: kind, samples: decoded.image.pixels, depth: decoded.bitDepth)
            let hasOpacity = files.contains { $0.content == .map(.opacity) }
            guard kind == .albedo, !hasOpacity, let alpha = decoded.alpha else { return [map] }
            notes.append("\(file.name): its alpha channel is taken as the opacity")
            return [map, Map(kind: .opacity, samples: alpha.pixels, depth: decoded.bitDepth)]
        }
    }

    /// Whether a map of numbers has pixels whose red, green and blue differ.
    private static func hasColours(_ image: DeepImage) -> Bool {
        for start in stride(from: 0, to: image.pixels.count, by: 3)
        where image.pixels[start] != image.pixels[start + 1] || image.pixels[start] != image.pixels[start + 2] {
            return true
        }
        return false
    }

    /// All maps' samples, pixel by pixel.
    private static func interleaved(_ maps: [Map]) -> [UInt16] {
        let channels = maps.reduce(0) { $0 + $1.kind.channels }
        var result = [UInt16](repeating: 0, count: (maps.first?.samples.count ?? 0) / 3 * channels)
        var offset = 0
        for map in maps {
            let own = map.kind.channels
            for (index, sample) in map.samples.enumerated() {
                result[index / own * channels + offset + index % own] = sample
            }
            offset += own
        }
        return result
    }
}

extension MaterialFiles.File {
    fileprivate var isPacked: Bool {
        if case .packed = content { return true }
        return false
    }

    /// Of its maps in memory. An albedo's alpha may be the opacity.
    fileprivate var mostChannels: Int {
        switch content {
        case .map(.albedo): MapKind.albedo.channels + MapKind.opacity.channels
        case .map(let kind): kind.channels
        case .packed(let hasOcclusion): hasOcclusion ? 3 : 2
        }
    }
}
