import Imaging

/// Normals as maps store them: each component from -1 to 1 over the range of a sample.
enum UnitNormal {
    /// The normal with unit length. Its stored length is within 1/255 of 1, with 8 bits too.
    ///
    /// Three roundings of 8 bits may add up to a length that differs by 1.7/255. The greatest component, at least 0.57,
    /// then takes the other of its two nearest values, which moves the length by 1.1/255 to 2/255 towards 1.
    static func samples<Sample: PictureSample>(
        of stored: (UInt16, UInt16, UInt16)
    ) -> (x: Sample, y: Sample, z: Sample) {
        var normal = components(of: stored)
        let length = length(normal)
        // A vector without a direction: a generator's that is not trained yet.
        normal = length > 1e-3 ? normal / length : SIMD3(0, 0, 1)
        var result = (
            x: Sample.nearest(to: normal.x), y: Sample.nearest(to: normal.y), z: Sample.nearest(to: normal.z)
        )
        guard Sample.bitWidth == 8 else { return result }
        let excess = self.length(components(of: result)) - 1
        guard abs(excess) > 1 / 255 else { return result }
        func moved(_ sample: Sample, _ component: Float) -> Sample {
            (excess > 0) == (component > 0) ? sample - 1 : sample + 1
        }
        let sizes = SIMD3(abs(normal.x), abs(normal.y), abs(normal.z))
        if sizes.x == sizes.max() {
            result.x = moved(result.x, normal.x)
        } else if sizes.y == sizes.max() {
            result.y = moved(result.y, normal.y)
        } else {
            result.z = moved(result.z, normal.z)
        }
        return result
    }

    static func components<Sample: PictureSample>(of stored: (Sample, Sample, Sample)) -> SIMD3<Float> {
        SIMD3(Float(stored.0), Float(stored.1), Float(stored.2)) / (Float(Sample.max) / 2) - 1
    }

    static func length(_ vector: SIMD3<Float>) -> Float { (vector * vector).sum().squareRoot() }
}
