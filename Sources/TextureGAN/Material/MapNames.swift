import Foundation

/// What the file names of materials say: the words of Blender's Node Wrangler, ambientCG, Poly Haven and glTF.
enum MapNames {
    /// What a file of a material contains.
    enum Content: Hashable {
        case map(MapKind)
        /// Green is roughness, blue metalness, red ambient occlusion if it is there.
        case packed(hasOcclusion: Bool)
    }

    /// Words, written together.
    private static let contents: [String: Content] = {
        var result: [String: Content] = [:]
        func add(_ content: Content, _ words: String) {
            for word in words.split(separator: " ") { result[String(word)] = content }
        }
        add(.map(.albedo), "diffuse diff albedo base col color colour basecolor basecolour")
        // Without a word for the direction of green, the more usual one.
        let normals = ["normal", "normals", "nor", "nrm", "nrml", "norm"]
        for word in normals {
            add(.map(.normalGL), "\(word) \(word)gl \(word)ogl \(word)opengl")
            add(.map(.normalDX), "\(word)dx \(word)directx")
        }
        add(.map(.roughness), "roughness rough rgh specularroughness")
        add(.map(.metalness), "metallic metalness metal mtl")
        add(.map(.ambientOcclusion), "ao ambientocclusion occlusion")
        add(.map(.displacement), "displacement displace disp dsp height heightmap")
        add(.map(.opacity), "alpha opacity alphamask opacitymask")
        for occlusion in ["ao", "occlusion", "ambientocclusion"] {
            add(.packed(hasOcclusion: true), "\(occlusion)roughnessmetallic \(occlusion)roughnessmetalness")
        }
        add(.packed(hasOcclusion: true), "orm arm")
        add(.packed(hasOcclusion: false), "metallicroughness metalnessroughness metalroughness")
        return result
    }()

    /// Words that give those beside them another meaning: "specular color", "normal bump", "color preview".
    private static let others: Set = [
        "bump", "emission", "emissive", "emit", "gloss", "glossiness", "mask", "preview", "spec", "specular",
        "thumbnail",
    ]

    /// The content that a name's words say, the last ones that say any; nil if none do, or if others follow or stand before
    /// them.
    static func content(of words: ArraySlice<String>) -> Content? {
        for end in words.indices.reversed() {
            // The longest first: "ambient occlusion", not "occlusion".
            for count in (1...4).reversed() where end - count + 1 >= words.startIndex {
                let start = end - count + 1
                guard let content = contents[words[start...end].joined()] else { continue }
                let isOther =
                    words[(end + 1)...].contains { others.contains($0) }
                    || (start > words.startIndex && others.contains(words[start - 1]))
                return isOther ? nil : content
            }
        }
        return nil
    }

    /// Whether a name says that the green of its normals points up.
    static func saysGreenIsUp(_ name: String) -> Bool { words(of: name).contains { $0.hasSuffix("gl") } }

    /// A name's words in lower case, without numbers: "Bricks076C_1K-PNG_NormalGL" is bricks, c, k, png, normal, gl.
    static func words(of name: String) -> [String] {
        var words: [String] = []
        var word = ""
        let characters = Array(name)
        for (index, character) in characters.enumerated() {
            let isLetter = character.isLetter
            let follows = index > 0 && characters[index - 1].isLetter
            let startsCamel =
                character.isUppercase && follows
                && (characters[index - 1].isLowercase
                    || (index + 1 < characters.count && characters[index + 1].isLowercase))
            if !isLetter || startsCamel {
                if !word.isEmpty { words.append(word) }
                word = ""
            }
            if isLetter { word += character.lowercased() }
        }
        if !word.isEmpty { words.append(word) }
        return words
    }

    /// The content of each name. Words that begin all names with a map's word belong to the material: "metal_plate" says
    /// nothing of a map, and a picture of another kind beside the maps does not change that.
    static func contents(of names: [String]) -> [Content?] {
        let all = names.map(words)
        let telling = all.filter { $0.contains { contents[$0] != nil } }
        var shared = 0
        if telling.count > 1, let first = telling.first {
            while shared < first.count, telling.allSatisfy({ $0.count > shared && $0[shared] == first[shared] }) {
                shared += 1
            }
        }
        return all.map { content(of: $0.dropFirst(shared)) }
    }
}
