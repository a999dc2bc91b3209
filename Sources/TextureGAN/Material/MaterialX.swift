/// A material's maps as a MaterialX 1.38 document: a `standard_surface` with its textures.
public enum MaterialX {
    /// - Parameter maps: the kinds with their files, beside the document.
    public static func document(name: String, maps: [(kind: MapKind, file: String)]) -> String {
        let name = identifier(name)
        let kinds = maps.map(\.kind)
        var graph: [String] = []
        var inputs: [String] = []
        for (kind, file) in maps {
            let nodes = Nodes(kind)
            graph += nodes.image(file) + nodes.after
            graph.append("<output name=\"\(nodes.name)_out\" type=\"\(nodes.type)\" nodename=\"\(nodes.last)\" />")
            // Occlusion is the renderer's own work here: the shader has no input for it.
            if let input = nodes.input {
                inputs.append(
                    "<input name=\"\(input)\" type=\"\(nodes.type)\" nodegraph=\"NG_\(name)\" "
                        + "output=\"\(nodes.name)_out\" />")
            }
        }
        let hasDisplacement = kinds.contains(.displacement)
        let displacement = [
            "  <displacement name=\"DS_\(name)\" type=\"displacementshader\">",
            "    <input name=\"displacement\" type=\"float\" nodegraph=\"NG_\(name)\" output=\"displacement_out\" />",
            "    <input name=\"scale\" type=\"float\" value=\"0.05\" />",
            "  </displacement>",
        ]
        let lines =
            ["<?xml version=\"1.0\"?>", "<materialx version=\"1.38\">", "  <nodegraph name=\"NG_\(name)\">"]
            + graph.map { "    \($0)" } + ["  </nodegraph>"]
            + ["  <standard_surface name=\"SR_\(name)\" type=\"surfaceshader\">"] + inputs.map { "    \($0)" }
            + ["  </standard_surface>"] + (hasDisplacement ? displacement : [])
            + [
                "  <surfacematerial name=\"\(name)\" type=\"material\">",
                "    <input name=\"surfaceshader\" type=\"surfaceshader\" nodename=\"SR_\(name)\" />",
            ]
            + (hasDisplacement
                ? ["    <input name=\"displacementshader\" type=\"displacementshader\" nodename=\"DS_\(name)\" />"]
                : [])
            + ["  </surfacematerial>", "</materialx>", ""]
        return lines.joined(separator: "\n")
    }

    /// The nodes of a map in the graph.
    private struct Nodes {
        let kind: MapKind
        let name: String
        /// Of the output.
        let type: String
        /// Of the shader; nil if it has none.
        let input: String?

        init(_ kind: MapKind) {
            self.kind = kind
            (name, type, input) =
                switch kind {
                case .albedo: ("base_color", "color3", "base_color")
                case .normalGL, .normalDX: ("normal", "vector3", "normal")
                case .roughness: ("roughness", "float", "specular_roughness")
                case .metalness: ("metalness", "float", "metalness")
                case .ambientOcclusion: ("occlusion", "float", nil)
                case .displacement: ("displacement", "float", nil)
                case .opacity: ("opacity", "color3", "opacity")
                }
        }

        func image(_ file: String) -> [String] {
            let type = kind == .opacity ? "float" : type
            let space = kind == .albedo ? " colorspace=\"srgb_texture\"" : ""
            return [
                "<tiledimage name=\"\(name)_image\" type=\"\(type)\">",
                "  <input name=\"file\" type=\"filename\" value=\"\(escaped(file))\"\(space) />",
                "</tiledimage>",
            ]
        }

        /// Nodes between the image and the output.
        var after: [String] {
            switch kind {
            case .normalGL: node("normalmap", "normal_map", of: "normal_image")
            case .normalDX:
                // Green becomes one less green.
                node("multiply", "normal_mirrored", of: "normal_image", as: "in1", and: "1, -1, 1")
                    + node("add", "normal_up", of: "normal_mirrored", as: "in1", and: "0, 1, 0")
                    + node("normalmap", "normal_map", of: "normal_up")
            case .opacity:
                [
                    "<convert name=\"opacity_color\" type=\"color3\">",
                    "  <input name=\"in\" type=\"float\" nodename=\"opacity_image\" />", "</convert>",
                ]
            default: []
            }
        }

        /// The name of the last node.
        var last: String {
            if kind.isNormal { return "normal_map" }
            return kind == .opacity ? "opacity_color" : "\(name)_image"
        }

        /// A node on vectors.
        private func node(
            _ category: String, _ name: String, of source: String, as input: String = "in", and value: String? = nil
        ) -> [String] {
            ["<\(category) name=\"\(name)\" type=\"vector3\">"]
                + ["  <input name=\"\(input)\" type=\"vector3\" nodename=\"\(source)\" />"]
                + (value.map { ["  <input name=\"in2\" type=\"vector3\" value=\"\($0)\" />"] } ?? [])
                + ["</\(category)>"]
        }
    }

    /// Names of nodes have letters of ASCII, digits and underscores.
    private static func identifier(_ name: String) -> String {
        let characters = name.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" }
        return characters.first?.isNumber == true ? "_" + String(characters) : String(characters)
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing("\"", with: "&quot;")
    }
}
