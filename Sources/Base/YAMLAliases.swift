/// Whether a YAML text may have more aliases (`*name`) than a file of settings needs.
///
/// Yams compares the keys of a mapping by value, and an alias stands for a whole tree of nodes. So n aliases that contain
/// each other can make 3^(n/3) nodes, and 40 lines that never end. Sixteen make 350.
///
/// Every "*" that could begin a name counts, in comments and quotes too: whether it is an alias, only a parser can tell.
public func hasManyAliases(yaml: String) -> Bool {
    var aliases = 0
    var isAfterStar = false
    for byte in yaml.utf8 {
        if isAfterStar, byte > 0x20, byte != UInt8(ascii: "*") { aliases += 1 }
        isAfterStar = byte == UInt8(ascii: "*")
    }
    return aliases > 16
}
