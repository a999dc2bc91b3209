/// Colours and styles of text.
enum TextColour: String, Sendable, Equatable {
    case bold = "1"
    case faint = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
    case blue = "34"
    case cyan = "36"
}

/// Coloured text of known width, which can be cut without breaking an escape sequence.
struct StyledText: Sendable, Equatable {
    private struct Span: Sendable, Equatable {
        var text: String
        var colour: TextColour?
    }

    private var spans: [Span]

    /// - Parameter text: text from strangers must be ``Swift/String/printable``.
    init(_ text: String = "", _ colour: TextColour? = nil) {
        spans = text.isEmpty ? [] : [Span(text: text, colour: colour)]
    }

    static func + (a: StyledText, b: StyledText) -> StyledText {
        var sum = a
        sum.spans += b.spans
        return sum
    }

    /// In columns of a terminal.
    var width: Int { spans.reduce(0) { $0 + $1.text.columns } }
    var isEmpty: Bool { spans.isEmpty }

    /// Cut to at most this many columns; a cut text ends in an ellipsis.
    func fitted(to columns: Int) -> StyledText {
        guard width > columns else { return self }
        var result = StyledText()
        var left = columns
        for span in spans {
            let cut = span.text.columns <= left ? span.text : span.text.fitted(to: left)
            result.spans.append(Span(text: cut, colour: span.colour))
            left -= cut.columns
            if cut != span.text { break }
        }
        return result
    }

    /// Padded to at least this many columns.
    func padded(to columns: Int, left: Bool = false) -> StyledText {
        let space = StyledText(String(repeating: " ", count: max(0, columns - width)))
        return left ? space + self : self + space
    }

    func text(paints: Bool) -> String {
        spans.map { span in
            guard paints, let colour = span.colour else { return span.text }
            return "\u{1B}[\(colour.rawValue)m\(span.text)\u{1B}[0m"
        }.joined()
    }
}

extension StyledText: ExpressibleByStringInterpolation {
    init(stringLiteral text: String) { self.init(text) }
}

extension Sequence<StyledText> {
    func joined(separator: String) -> StyledText {
        var result = StyledText()
        for (index, text) in enumerated() { result = result + (index == 0 ? text : StyledText(separator) + text) }
        return result
    }
}
