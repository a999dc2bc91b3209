import NNCore

/// Corners of windows spread over an image: one window at random in each of `perSide x perSide` cells.
///
/// The fractions of width and height are the same for every image, so that an image and its expansion are sampled at
/// corresponding places.
struct StratifiedPositions {
    let corners: [(y: Int, x: Int)]

    /// - Parameter side: side of the windows; the image must be at least as large.
    init(perSide: Int, side: Int, height: Int, width: Int, _ purpose: QualityStream) {
        precondition(height >= side && width >= side)
        var stream = purpose.stream
        func place(_ cell: Int, _ length: Int) -> Int {
            let fraction = (Double(cell) + Double(stream.uniform())) / Double(perSide)
            return min(Int(fraction * Double(length - side + 1)), length - side)
        }
        corners = (0..<perSide * perSide).map { cell in
            (y: place(cell / perSide, height), x: place(cell % perSide, width))
        }
    }
}
