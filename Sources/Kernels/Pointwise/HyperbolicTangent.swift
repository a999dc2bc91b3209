import Tensors

#if canImport(Glibc)
    import Glibc
#endif

/// The C library's `tanhf`: it costs little beside the convolutions that produce an image.
@inline(__always)
func hyperbolicTangent(_ value: Float) -> Float { tanhf(value) }
