import Foundation

/// How a camera held the picture: EXIF tag 0x0112, values 1 to 8.
/// - Source: CIPA DC-008 (Exif 2.32), 4.6.4.
struct EXIFOrientation: Equatable {
    /// 1: as it is. 2...4: mirrored, turned by 180 degrees, mirrored vertically. 5...8: with sides swapped.
    let value: Int

    var swapsSides: Bool { value >= 5 }

    init(value: Int) { self.value = (1...8).contains(value) ? value : 1 }

    /// 1 where a JPEG says nothing that can be understood.
    init(ofJPEG bytes: Data) { self.init(value: Self.find(in: [UInt8](bytes.prefix(1 << 18))) ?? 1) }

    private static func find(in bytes: [UInt8]) -> Int? {
        func big16(_ at: Int) -> Int? { at + 2 <= bytes.count ? Int(bytes[at]) << 8 | Int(bytes[at + 1]) : nil }
        var offset = 2
        // Segments up to the scan: FF marker, length (which counts itself), content.
        while offset + 4 <= bytes.count, bytes[offset] == 0xFF {
            let marker = bytes[offset + 1]
            if marker == 0xFF {
                offset += 1
                continue
            }
            if marker == 0xDA || marker == 0xD9 { return nil }
            guard let length = big16(offset + 2), length >= 2 else { return nil }
            let content = offset + 4
            let end = min(offset + 2 + length, bytes.count)
            if marker == 0xE1, end - content >= 14, Array(bytes[content..<content + 6]) == Array("Exif\0\0".utf8),
                let value = orientation(in: bytes[content + 6..<end])
            {
                return value
            }
            offset += 2 + length
        }
        return nil
    }

    /// The orientation in a TIFF structure.
    private static func orientation(in tiff: ArraySlice<UInt8>) -> Int? {
        let bytes = Array(tiff)
        let isLittle: Bool
        switch bytes.prefix(2) {
        case [0x49, 0x49]: isLittle = true
        case [0x4D, 0x4D]: isLittle = false
        default: return nil
        }
        func integer(_ at: Int, bytes count: Int) -> Int? {
            guard at >= 0, at + count <= bytes.count else { return nil }
            let part = bytes[at..<at + count]
            return (isLittle ? Array(part.reversed()) : Array(part)).reduce(0) { $0 << 8 | Int($1) }
        }
        guard integer(2, bytes: 2) == 42, let directory = integer(4, bytes: 4), let count = integer(directory, bytes: 2)
        else { return nil }
        for entry in 0..<count {
            let at = directory + 2 + 12 * entry
            guard let tag = integer(at, bytes: 2) else { return nil }
            if tag == 0x0112, integer(at + 2, bytes: 2) == 3 { return integer(at + 8, bytes: 2) }
        }
        return nil
    }
}

extension Image {
    /// The picture the right way up.
    func oriented(by orientation: EXIFOrientation) -> Image {
        if orientation.value == 1 { return self }
        let (newWidth, newHeight) = orientation.swapsSides ? (height, width) : (width, height)
        var result = [UInt8](repeating: 0, count: pixels.count)
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
                let source = (sourceY * width + sourceX) * 3
                let target = (y * newWidth + x) * 3
                for channel in 0..<3 { result[target + channel] = pixels[source + channel] }
            }
        }
        return Image(width: newWidth, height: newHeight, pixels: result)
    }
}
