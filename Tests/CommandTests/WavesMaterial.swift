import Foundation
import Imaging

/// A material of four maps, drawn with a formula.
enum WavesMaterial {
    /// - Parameter shift: moves the waves, for another material.
    static func write(to folder: String, shift: Double = 0, width: Int = 36, height: Int = 32) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        func relief(_ x: Int, _ y: Int) -> Double {
            0.5 + 0.4 * sin(Double(x) * 0.5 + shift) * cos(Double(y) * 0.4)
        }
        func write(_ name: String, _ data: Data) throws {
            try data.write(to: URL(fileURLWithPath: folder).appendingPathComponent(name))
        }
        let places = (0..<width * height).map { ($0 % width, $0 / width) }
        try write(
            "waves_diff.png",
            Image(
                width: width, height: height, pixels: places.flatMap { [UInt8(200 * relief($0.0, $0.1)), 90, 40] }
            ).png())
        try write(
            "waves_nor_dx.png",
            Image(width: width, height: height, pixels: places.flatMap { [UInt8(100 + $0.0), 128, 240] }).png())
        try write(
            "waves_rough.png",
            Image(
                width: width, height: height, channels: 1, pixels: places.map { UInt8(255 * relief($0.1, $0.0)) }
            ).png())
        try write(
            "waves_disp.png",
            DeepImage(
                width: width, height: height, channels: 1,
                pixels: places.map { UInt16(65535 * relief($0.0, $0.1)) }
            ).png(isSRGB: false))
    }
}
