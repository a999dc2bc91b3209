import Foundation

extension Unicode.Scalar {
    /// Whether a terminal interprets it, or a line reader takes it for a line end, instead of showing it.
    var isObeyed: Bool {
        switch properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: true
        // Characters that change the writing direction can make a line read differently.
        case .format: (0x202A...0x202E).contains(value) || (0x2066...0x2069).contains(value)
        default: false
        }
    }

    /// Wide in Unicode's East Asian Width (UAX 11), or an emoji shown as one.
    fileprivate var isWide: Bool {
        switch value {
        case ..<0x1100: false
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xA000...0xA4CF,
            0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6,
            0x1B000...0x1B2FF, 0x20000...0x3FFFD:
            true
        default: properties.isEmojiPresentation
        }
    }
}

extension Character {
    /// Its columns on a terminal: 0, 1 or 2. A combining mark has 0.
    var columns: Int {
        let first = unicodeScalars.first!
        switch first.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format, .control, .lineSeparator, .paragraphSeparator: return 0
        default: break
        }
        // U+FE0F selects the emoji form of a plain sign.
        let isEmoji = first.properties.isEmoji && unicodeScalars.contains("\u{FE0F}")
        return first.isWide || isEmoji ? 2 : 1
    }
}

extension String {
    /// Its columns on a terminal.
    var columns: Int {
        // Most text is ASCII, and Unicode's tables are slow.
        utf8.allSatisfy { (0x20...0x7E).contains($0) } ? utf8.count : reduce(0) { $0 + $1.columns }
    }

    /// Cut to at most this many columns; a cut text ends in an ellipsis.
    func fitted(to limit: Int) -> String {
        guard columns > limit else { return self }
        guard limit > 0 else { return "" }
        var result = ""
        var width = 0
        for character in self {
            guard width + character.columns < limit else { break }
            result.append(character)
            width += character.columns
        }
        return result + "…"
    }

    /// With characters that a terminal would interpret written out: names and messages come from strangers.
    var printable: String {
        guard unicodeScalars.contains(where: \.isObeyed) else { return self }
        var result = ""
        for scalar in unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += " "
            case _ where scalar.isObeyed: result += "\\u{\(String(scalar.value, radix: 16))}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
