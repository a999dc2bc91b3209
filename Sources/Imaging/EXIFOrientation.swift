import Foundation

/// How a camera held the picture: EXIF tag 0x0112, values 1 to 8.
/// - Source: CIPA DC-008 (Exif 2.32), 4.6.4.
struct EXIFOrientation: Equatable {
    /// 1: as it is. 2...4: mirrored, turned by 180 degrees, mirrored vertically. 5...8: with sides swapped.
    let value: Int

    var swapsSides: Bool { value >= 5 }

    init(value: Int) { self.value = (1...8).contains(value) ? value : 1 }

    /// 1 if the file has no readable orientation.
    init(of bytes: Data, _ format: ImageHeader.Format) {
        let marker = Array("Exif\0\0".utf8)
        func found(_ content: UnsafeRawBufferPointer, mayLackMarker: Bool) -> Int? {
            let isMarked = content.prefix(marker.count).elementsEqual(marker)
            guard isMarked || mayLackMarker else { return nil }
            return Self.orientation(
                in: UnsafeRawBufferPointer(rebasing: content.dropFirst(isMarked ? marker.count : 0)))
        }
        let value = bytes.withUnsafeBytes { bytes in
            switch format {
            case .jpeg: JPEGSegments.first(JPEGSegments.app1, in: bytes) { found($0, mayLackMarker: false) }
            // The standard omits the marker; some programs write it.
            case .png: PNGChunks.first("eXIf", in: bytes).flatMap { found($0, mayLackMarker: true) }
            }
        }
        self.init(value: value ?? 1)
    }

    /// The orientation in a TIFF structure.
    private static func orientation(in bytes: UnsafeRawBufferPointer) -> Int? {
        guard bytes.count >= 8, bytes[0] == bytes[1], [0x49, 0x4D].contains(bytes[0]) else { return nil }
        let isLittle = bytes[0] == 0x49
        func integer(_ at: Int, bytes count: Int) -> Int? {
            guard at >= 0, at + count <= bytes.count else { return nil }
            let part = bytes[at..<at + count]
            return isLittle ? part.reversed().reduce(0) { $0 << 8 | Int($1) } : part.reduce(0) { $0 << 8 | Int($1) }
        }
        guard integer(2, bytes: 2) == 42, let directory = integer(4, bytes: 4), let count = integer(directory, bytes: 2)
        else { return nil }
        for entry in 0..<count {
            let at = directory + 2 + 12 * entry
            guard let tag = integer(at, bytes: 2) else { return nil }
            guard tag == 0x0112 else { continue }
            switch integer(at + 2, bytes: 2) {
            case 3: return integer(at + 8, bytes: 2)
            // LONG: some programs write it, against the standard.
            case 4: return integer(at + 8, bytes: 4)
            default: return nil
            }
        }
        return nil
    }
}

extension Raster {
    /// The picture upright.
    func oriented(by orientation: EXIFOrientation) -> Raster {
        if orientation.value == 1 { return self }
        let (newWidth, newHeight) = orientation.swapsSides ? (height, width) : (width, height)
        var result = [Sample](repeating: 0, count: pixels.count)
        for y in 0..<newHeight {
            for x in 0..<newWidth {
                let (sourceX, sourceY) =
                    switch orientation.value {
                    case 2: (width - 1 - x, y)
                    case 3: (width - 1 - x, height - 1 - y)
                    case 4: (x, height - 1 - y)
                    case 5: (y, x)
                    case 6: (y, height - 1 - x)
                    case 7: (width - 1 - y, height - 1 - x)
                    default: (width - 1 - y, x)
                    }
                let source = (sourceY * width + sourceX) * channels
                let target = (y * newWidth + x) * channels
                for channel in 0..<channels { result[target + channel] = pixels[source + channel] }
            }
        }
        return Raster(width: newWidth, height: newHeight, channels: channels, pixels: result)
    }
}
