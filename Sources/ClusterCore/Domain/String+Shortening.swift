extension String {
    /// The text, cut between characters to at most `limit` UTF-8 bytes.
    package func shortened(to limit: Int) -> String {
        guard utf8.count > limit else { return self }
        // Where a character ends depends on the scalar after it and on no later one. To look for the end of a character
        // of a megabyte would take minutes.
        let next = unicodeScalars.index(after: utf8.index(startIndex, offsetBy: limit))
        return String(String(unicodeScalars[..<next]).dropLast())
    }
}
