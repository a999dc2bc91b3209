import Tensors

/// The sum of products of two vectors: eight partial sums, added at the end, then the elements past the last multiple
/// of eight in order.
package func dotProduct(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, count: Int) -> Float {
    var sums = Float8.zero
    let whole = count / 8 * 8
    for index in stride(from: 0, to: whole, by: 8) { sums += load8(a + index) * load8(b + index) }
    var sum = sums.sum()
    for index in whole..<count { sum += a[index] * b[index] }
    return sum
}
