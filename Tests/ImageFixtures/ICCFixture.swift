import Foundation

/// Small ICC profiles of version 2 in a simple encoding.
package enum ICCFixture {
    package typealias XYZ = (Double, Double, Double)

    /// A profile with the red, green and blue columns, adapted to D50, and one curve.
    package static func rgb(_ name: String, _ red: XYZ, _ green: XYZ, _ blue: XYZ, gamma: Double) -> [UInt8] {
        let curve = curve(gamma)
        return profile(
            name, space: "RGB ", class: "mntr", connection: "XYZ ",
            [
                ("rXYZ", xyz(red)), ("gXYZ", xyz(green)), ("bXYZ", xyz(blue)), ("rTRC", curve), ("gTRC", curve),
                ("bTRC", curve),
            ])
    }

    package static let displayP3 = rgb(
        "Display P3", (0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1572, 0.0666, 0.7841), gamma: 2.2)
    package static let adobeRGB = rgb(
        "Adobe RGB (1998)", (0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446), gamma: 2.2)

    /// sRGB with its curve as a table.
    package static let sRGB: [UInt8] = {
        let table = (0..<1024).flatMap { index -> [UInt8] in
            let value = Double(index) / 1023
            let linear = value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4)
            return big16(Int(linear * 65535 + 0.5))
        }
        let curve = Array("curv\0\0\0\0".utf8) + big32(1024) + table
        return profile(
            "sRGB IEC61966-2.1", space: "RGB ", class: "mntr", connection: "XYZ ",
            [
                ("rXYZ", xyz((0.4360747, 0.2225045, 0.0139322))), ("gXYZ", xyz((0.3850649, 0.7168786, 0.0971045))),
                ("bXYZ", xyz((0.1430804, 0.0606169, 0.7141733))), ("rTRC", curve), ("gTRC", curve), ("bTRC", curve),
            ])
    }()

    package static func grey(gamma: Double) -> [UInt8] {
        profile("grey", space: "GRAY", class: "mntr", connection: "XYZ ", [("kTRC", curve(gamma))])
    }

    /// Inks that all make neutral grey: paper is white, and each ink takes a quarter of the lightness.
    package static let greyInks: [UInt8] = {
        let identity = (0..<256).map { UInt8($0) }
        var table = Array("mft1\0\0\0\0".utf8) + [4, 3, 2, 0]
        for row in 0..<3 { for column in 0..<3 { table += big32(row == column ? 65536 : 0) } }
        table += Array(repeating: identity, count: 4).flatMap(\.self)
        for corner in 0..<16 { table += [UInt8(255 - 63 * corner.nonzeroBitCount), 128, 128] }
        table += Array(repeating: identity, count: 3).flatMap(\.self)
        return profile("grey inks", space: "CMYK", class: "prtr", connection: "Lab ", [("A2B0", table)])
    }()

    private static func profile(
        _ name: String, space: String, class: String, connection: String, _ tags: [(String, [UInt8])]
    ) -> [UInt8] {
        let description =
            Array("desc\0\0\0\0".utf8) + big32(name.utf8.count + 1) + Array(name.utf8)
            + [UInt8](repeating: 0, count: 1 + 78)
        let all =
            [("desc", description), ("cprt", Array("text\0\0\0\0PD\0\0".utf8)), ("wtpt", xyz((0.9642, 1, 0.8249)))]
            + tags
        var table = big32(all.count)
        var body: [UInt8] = []
        let start = 128 + 4 + 12 * all.count
        for (signature, content) in all {
            table += Array(signature.utf8) + big32(start + body.count) + big32(content.count)
            body += content + [UInt8](repeating: 0, count: (4 - content.count % 4) % 4)
        }
        var header = big32(start + body.count) + big32(0) + big32(0x0240_0000) + Array((`class` + space).utf8)
        header += Array(connection.utf8) + [UInt8](repeating: 0, count: 12) + Array("acsp".utf8)
        header += [UInt8](repeating: 0, count: 28) + fixed(0.9642) + fixed(1) + fixed(0.8249)
        return header + [UInt8](repeating: 0, count: 128 - header.count) + table + body
    }

    private static func xyz(_ value: XYZ) -> [UInt8] {
        Array("XYZ \0\0\0\0".utf8) + fixed(value.0) + fixed(value.1) + fixed(value.2)
    }

    private static func curve(_ gamma: Double) -> [UInt8] {
        Array("curv\0\0\0\0".utf8) + big32(1) + big16(Int(gamma * 256 + 0.5))
    }

    private static func fixed(_ value: Double) -> [UInt8] { big32(Int((value * 65536).rounded()) & 0xFFFF_FFFF) }
    private static func big32(_ value: Int) -> [UInt8] { PNGFixture.big32(value) }
    private static func big16(_ value: Int) -> [UInt8] { Array(big32(value).suffix(2)) }
}
