#if canImport(Glibc)
    import Glibc
#endif

/// The C library's `tanhf`; images are small beside the convolutions that make them.
@inline(__always)
func hyperbolicTangent(_ value: Float) -> Float { tanhf(value) }
