import NNCore

/// Corners of windows spread over an image: it is cut into `perSide x perSide` cells, with one window at random in each.
///
/// The same fractions of width and height for every image, so that an image and its expansion are looked at in
/// corresponding places, and an image against itself in the same ones.
struct StratifiedPositions {
    let corners: [(y: Int, x: Int)]

    /// - Parameter side: of the windows; the image has to hold one.
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
