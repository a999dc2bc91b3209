/// Names of folders, made of names that people give.
package enum FileSystemName {
    /// A name without the characters that file systems and shells take for something else, at most 200 bytes long. It
    /// hides nothing and is never empty.
    package static func clean(_ name: String) -> String {
        var result = ""
        for character in name {
            let next = isSafe(character) ? String(character) : "_"
            // Leaves room for a number and "_result" within the 255 bytes of a file name.
            guard result.utf8.count + next.utf8.count <= 200 else { break }
            result += next
        }
        while let first = result.first, first == "." || first == " " { result.removeFirst() }
        while let last = result.last, last == "." || last == " " { result.removeLast() }
        return result.isEmpty ? "texture" : result
    }

    private static func isSafe(_ character: Character) -> Bool {
        let others = "-_.+ "
        guard character.isLetter || character.isNumber || others.contains(character) else { return false }
        // `isLetter` looks at the first scalar alone. U+0D4E, a letter, and a slash after it are one character.
        return character.unicodeScalars.allSatisfy {
            !$0.isASCII || $0.properties.isAlphabetic || ("0"..."9").contains($0) || others.unicodeScalars.contains($0)
        }
    }
}
