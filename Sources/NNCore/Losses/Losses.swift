#if canImport(Glibc)
    import Glibc
#endif

/// Pointwise losses. Each returns the loss and writes its gradient, both normalised as stated.
public enum Loss {
    /// The mean over all logits of the binary cross-entropy between `sigmoid(logit)` and `target`.
    /// - Parameter gradient: of `weight` times the loss; overwritten.
    public static func binaryCrossEntropy(
        logits: Tensor, target: Float, weight: Float, gradient: Tensor
    ) -> Double {
        precondition(gradient.hasShape(of: logits))
        let count = logits.count
        var sum = 0.0
        for index in 0..<count {
            let logit = Double(logits.data[index])
            // log(1 + exp(-|x|)) never overflows.
            sum += max(logit, 0) - logit * Double(target) + log1p(exp(-abs(logit)))
            let sigmoid = 1 / (1 + exp(-logit))
            gradient.data[index] = weight * Float((sigmoid - Double(target)) / Double(count))
        }
        return sum / Double(count)
    }

    /// The mean over all outputs of `(output - target)^2`: the least-squares GAN.
    /// - Parameter gradient: of `weight` times the loss; overwritten.
    /// - Source: Mao et al., arXiv:1611.04076.
    public static func leastSquares(logits: Tensor, target: Float, weight: Float, gradient: Tensor) -> Double {
        precondition(gradient.hasShape(of: logits))
        let count = logits.count
        var sum = 0.0
        for index in 0..<count {
            let difference = Double(logits.data[index] - target)
            sum += difference * difference
            gradient.data[index] = weight * Float(2 * difference / Double(count))
        }
        return sum / Double(count)
    }

    /// The discriminator's loss of a hinge GAN: the mean over all outputs of `max(0, 1 - output)` for a real image, of
    /// `max(0, 1 + output)` for a generated one.
    /// - Parameter gradient: of `weight` times the loss; overwritten.
    /// - Source: Lim & Ye, arXiv:1705.02894.
    public static func hinge(logits: Tensor, isReal: Bool, weight: Float, gradient: Tensor) -> Double {
        precondition(gradient.hasShape(of: logits))
        let count = logits.count
        let sign: Float = isReal ? 1 : -1
        let step = weight * -sign / Float(count)
        var sum = 0.0
        for index in 0..<count {
            let margin = 1 - sign * logits.data[index]
            // Not max, which can hide a NaN.
            sum += margin <= 0 ? 0 : Double(margin)
            gradient.data[index] = margin > 0 ? step : 0
        }
        return sum / Double(count)
    }

    /// The generator's loss of a hinge GAN: minus the mean of all outputs.
    /// - Parameter gradient: of `weight` times the loss; overwritten.
    public static func negativeMean(logits: Tensor, weight: Float, gradient: Tensor) -> Double {
        precondition(gradient.hasShape(of: logits))
        let count = logits.count
        var sum = 0.0
        for index in 0..<count { sum -= Double(logits.data[index]) }
        gradient.buffer.update(repeating: -weight / Float(count))
        return sum / Double(count)
    }

    /// The mean over all values of `|a - b|`.
    /// - Parameter gradient: of `weight` times the loss in `a`; overwritten. Zero where `a` equals `b`.
    public static func absoluteDifference(
        _ a: Tensor, _ b: Tensor, weight: Float, gradient: Tensor, in workspace: Workspace
    ) -> Double {
        precondition(a.hasShape(of: b) && gradient.hasShape(of: a))
        let count = a.count
        let step = weight / Float(count)
        let sum = orderedSum(over: count, in: workspace) { range in
            var sum = 0.0
            for index in range {
                let difference = a.data[index] - b.data[index]
                sum += Double(abs(difference))
                gradient.data[index] = difference > 0 ? step : difference < 0 ? -step : 0
            }
            return sum
        }
        return sum / Double(count)
    }

    /// The mean over all entries of the squared difference of two `[C, C]` matrices.
    /// - Parameter gradient: of `weight` times the loss in `a`; overwritten, may be `a`.
    public static func meanSquare(
        _ a: UnsafeMutablePointer<Float>, _ b: UnsafeMutablePointer<Float>, count: Int, weight: Float,
        gradient: UnsafeMutablePointer<Float>, in workspace: Workspace
    ) -> Double {
        let step = 2 * weight / Float(count)
        let sum = orderedSum(over: count, in: workspace) { range in
            var sum = 0.0
            for index in range {
                let difference = a[index] - b[index]
                sum += Double(difference) * Double(difference)
                gradient[index] = step * difference
            }
            return sum
        }
        return sum / Double(count)
    }
}
