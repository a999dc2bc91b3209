/// By which pixels are put in order from dark to bright.
enum Brightness {
    /// The weights of Rec. 709, times 10,000: whole numbers are the same on every machine.
    static func of<Value: FixedWidthInteger>(_ red: Value, _ green: Value, _ blue: Value) -> Value {
        2126 * red + 7152 * green + 722 * blue
    }
}

extension Array where Element: Comparable {
    /// The indices of the elements from the least to the greatest; of equal ones the first comes first.
    var sortedIndices: [Int] {
        indices.sorted { self[$0] != self[$1] ? self[$0] < self[$1] : $0 < $1 }
    }
}
