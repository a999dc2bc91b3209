/// A number and its noun: "1 job", "2 jobs".
/// - Parameter noun: Singular; its plural ends in s.
public func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }
