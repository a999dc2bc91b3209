import Foundation
import Imaging
import NNCore

/// The distance between the colours of an image and the exemplar's, regardless of their places: the sliced Wasserstein
/// distance in Oklab.
///
///     D = sqrt( mean over orthonormal bases of the sum over their axes of W1(axis)^2 )
///
/// W1 is the 1-Wasserstein distance of all colours' projections on an axis, the area between the cumulative
/// distributions. The axes of Oklab are the first basis, three random ones follow. If all colours move by one vector, D
/// is its length.
/// - Source: Ottosson, "A perceptual color space for image processing" (2020); Rabin et al., "Wasserstein Barycenter
///   and its Application to Texture Mixing" (2011). 0.02 is a just noticeable difference (CSS Color 4, deltaEOK)
///   between two flat colours; a mean of distances is seen from less on, where a part of the picture has lost its
///   colour.
struct ColourDistance: Sendable {
    private static let bases = 4
    /// No projection of a colour exceeds it.
    private static let reach: Float = 1.25
    private static let binsPerUnit: Float = 1024
    private static let bins = Int(2 * reach * binsPerUnit)
    /// A larger image is sampled at a regular step down to about this number.
    private static let maxSamples = 1 << 18
    private static let axes = makeAxes()

    private let exemplar: [[Float]]

    init(_ image: Image, in workspace: Workspace) { exemplar = Self.cumulative(image, in: workspace) }

    func value(_ image: Image, in workspace: Workspace) -> Float {
        let own = Self.cumulative(image, in: workspace)
        var sum = 0.0
        for (a, b) in zip(exemplar, own) {
            let area = zip(a, b).reduce(0.0) { $0 + Double(abs($1.0 - $1.1)) } / Double(Self.binsPerUnit)
            sum += area * area
        }
        return Float((sum / Double(Self.bases)).squareRoot())
    }

    /// The cumulative distribution of the projections on each axis.
    private static func cumulative(_ image: Image, in workspace: Workspace) -> [[Float]] {
        let pixels = image.width * image.height
        var step = (pixels + maxSamples - 1) / maxSamples
        // A step that shares a factor with the width would see some of the columns only.
        while greatestCommonDivisor(step, image.width) > 1 { step += 1 }
        let samples = (pixels + step - 1) / step
        return workspace.arena.scoped {
            let colours = workspace.arena.floats(3 * samples)
            image.pixels.withUnsafeBufferPointer { bytes in
                workspace.pool.run(over: samples, grain: 1 << 12) { range in
                    for sample in range {
                        let rgb = bytes.baseAddress! + 3 * sample * step
                        let colour = oklab(rgb[0], rgb[1], rgb[2])
                        for channel in 0..<3 { colours[3 * sample + channel] = colour[channel] }
                    }
                }
            }
            let counts = UnsafeMutableRawPointer(workspace.arena.floats(axes.count * bins))
                .bindMemory(to: UInt32.self, capacity: axes.count * bins)
            counts.update(repeating: 0, count: axes.count * bins)
            workspace.pool.run(blocks: axes.count) { index in
                let axis = axes[index]
                let histogram = counts + index * bins
                for sample in 0..<samples {
                    let colour = colours + 3 * sample
                    let place = colour[0] * axis[0] + colour[1] * axis[1] + colour[2] * axis[2] + reach
                    histogram[min(max(Int(place * binsPerUnit), 0), bins - 1)] += 1
                }
            }
            return axes.indices.map { axis in
                var total: UInt32 = 0
                return (0..<bins).map { bin in
                    total += counts[axis * bins + bin]
                    return Float(total) / Float(samples)
                }
            }
        }
    }

    private static func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
        b == 0 ? a : greatestCommonDivisor(b, a % b)
    }

    private static let linear: [Float] = (0..<256).map { value in
        let encoded = Double(value) / 255
        return Float(encoded <= 0.04045 ? encoded / 12.92 : pow((encoded + 0.055) / 1.055, 2.4))
    }

    /// An sRGB colour in Oklab: lightness in 0...1, green to red, blue to yellow.
    static func oklab(_ red: UInt8, _ green: UInt8, _ blue: UInt8) -> SIMD3<Float> {
        let r = linear[Int(red)]
        let g = linear[Int(green)]
        let b = linear[Int(blue)]
        let l = cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b)
        let m = cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b)
        let s = cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b)
        return SIMD3(
            0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s,
            1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s,
            0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s)
    }

    /// The axes of the bases one after another; random ones are made orthonormal by Gram and Schmidt.
    private static func makeAxes() -> [SIMD3<Float>] {
        var stream = QualityStream.colourBases.stream
        var axes: [SIMD3<Double>] = [SIMD3(1, 0, 0), SIMD3(0, 1, 0), SIMD3(0, 0, 1)]
        for _ in 1..<bases {
            var basis: [SIMD3<Double>] = []
            while basis.count < 3 {
                var axis = SIMD3(Double(stream.normal()), Double(stream.normal()), Double(stream.normal()))
                for earlier in basis { axis -= earlier * (axis * earlier).sum() }
                basis.append(axis / (axis * axis).sum().squareRoot())
            }
            axes += basis
        }
        return axes.map { SIMD3<Float>($0) }
    }
}
