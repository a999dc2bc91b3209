import TensorChecks
import Testing

@testable import Kernels
@testable import Tensors

@Suite struct PanelProductTests {
    @Test(arguments: [(1, 1, 1), (5, 3, 2), (7, 25, 1), (48, 25, 4), (64, 147, 3)])
    func agreesWithTheDefinitionAndGivesEqualColumnsEqualBits(_ rows: Int, _ inner: Int, _ panels: Int) {
        let columns = panels * PanelProduct.width
        var a = randomValues(rows * inner, seed: 81)
        var b = randomValues(panels * inner * PanelProduct.width, seed: 82)
        func place(_ k: Int, _ column: Int) -> Int {
            (column / PanelProduct.width * inner + k) * PanelProduct.width + column % PanelProduct.width
        }
        // The last column repeats the first.
        for k in 0..<inner { b[place(k, columns - 1)] = b[place(k, 0)] }
        var found = [Float](repeating: .nan, count: rows * columns)
        a.withUnsafeMutableBufferPointer { a in
            found.withUnsafeMutableBufferPointer { found in
                PanelProduct.multiply(
                    Matrix(a.baseAddress!, rows: rows, columns: inner), panels: b,
                    into: Matrix(found.baseAddress!, rows: rows, columns: columns))
            }
        }
        let expected = (0..<rows * columns).map { index in
            (0..<inner).reduce(0.0) {
                $0 + Double(a[index / columns * inner + $1]) * Double(b[place($1, index % columns)])
            }
        }
        #expect(Deviation(found, from: expected).maximum < 2e-6)
        for row in 0..<rows { #expect(found[row * columns] == found[(row + 1) * columns - 1]) }
    }
}
