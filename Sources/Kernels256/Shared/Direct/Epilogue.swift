import Tensors

/// The last operations on a convolution's result before it is stored: `activation(result + bias) [+ residual]`.
struct Epilogue: @unchecked Sendable {
    /// One value per channel; nil for none.
    private let bias: UnsafePointer<Float>?
    /// Shaped like the result; nil for none.
    private let residual: UnsafePointer<Float>?
    private let rectifies: Bool
    private let leaks: Bool
    private let gain: Float
    private let slope: Float

    init(
        bias: UnsafePointer<Float>? = nil, _ activation: Activation = .identity, adding residual: Tensor? = nil
    ) {
        self.bias = bias
        self.residual = residual.map { UnsafePointer($0.data) }
        rectifies = activation == .relu
        leaks = !rectifies && activation != .identity
        (gain, slope) = (activation.positiveSlope, activation.negativeSlope)
    }

    private var isEmpty: Bool { bias == nil && residual == nil && !rectifies && !leaks }

    /// - Parameter offset: distance of the result's pixel from the first, in floats.
    @inline(__always)
    func apply(_ value: Vector, channel: Int, offset: Int) -> Vector {
        apply(value, channel: channel, offset: offset) { loadVector($0) }
    }

    /// The same for the last channels, of which only `lanes` exist.
    @inline(__always)
    func apply(_ value: Vector, channel: Int, lanes: Int, offset: Int) -> Vector {
        apply(value, channel: channel, offset: offset) { loadVector($0, lanes: lanes) }
    }

    @inline(__always)
    private func apply(
        _ value: Vector, channel: Int, offset: Int, load: (UnsafePointer<Float>) -> Vector
    ) -> Vector {
        var value = value
        if let bias { value += load(bias + channel) }
        if rectifies {
            value = value.replacing(with: 0, where: value .< 0)
        } else if leaks {
            value = (value * gain).replacing(with: value * slope, where: value .< 0)
        }
        if let residual { value += load(residual + offset + channel) }
        return value
    }

    /// Applies the epilogue to a result that was stored without it.
    func apply(to tensor: Tensor, in workspace: Workspace) {
        if isEmpty { return }
        let channels = tensor.channels
        workspace.pool.run(over: tensor.pixels, grain: max(1, (1 << 14) / channels)) { pixels in
            for pixel in pixels {
                let offset = pixel * channels
                for channel in stride(from: 0, to: channels, by: vectorLanes) {
                    let lanes = min(vectorLanes, channels - channel)
                    let place = tensor.data + offset + channel
                    storeVector(
                        apply(loadVector(place, lanes: lanes), channel: channel, lanes: lanes, offset: offset), place,
                        lanes: lanes)
                }
            }
        }
    }
}
