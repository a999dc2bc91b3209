/// Something that may happen often and that the log mentions the 1st, 2nd, 4th, 8th... time: a flood is in the log, and
/// the log is not flooded.
public struct RareNotice: Equatable, Sendable {
    /// How often it has happened.
    public private(set) var count = 0

    public init() {}

    /// It has happened once more.
    /// - Returns: The count, if the log should mention it.
    public mutating func occurred() -> Int? {
        count += 1
        return count & (count - 1) == 0 ? count : nil
    }
}
