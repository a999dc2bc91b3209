import Foundation
import Imaging
import OperatingSystem

/// The files of a material, and what each contains.
public struct MaterialFiles: Sendable, Equatable {
    public struct File: Sendable, Equatable {
        public let url: URL
        let content: MapNames.Content
        /// What to call the file in messages.
        let name: String

        /// What it contains, as ``MaterialFiles/contentNames`` call it.
        public var contentName: String {
            switch content {
            case .map(let kind): kind.rawValue
            case .packed(let hasOcclusion): hasOcclusion ? "orm" : "metallic-roughness"
            }
        }
    }

    /// A file that somebody has told apart before.
    public struct Given: Sendable, Equatable {
        /// One of ``MaterialFiles/contentNames``.
        public var content: String
        /// What to call the file in messages.
        public var name: String
        public var url: URL

        public init(content: String, name: String, url: URL) {
            self.content = content
            self.name = name
            self.url = url
        }
    }

    /// What to call the material in messages.
    public let name: String
    public private(set) var files: [File] = []
    /// Files that are not used, and why.
    public private(set) var notes: [String] = []

    /// What `--map` calls maps and packed files.
    public static let contentNames = MapKind.allCases.map(\.rawValue) + ["orm", "metallic-roughness"]

    /// The given files.
    /// - Parameter files: by the names of `contentNames`.
    /// - Throws: `TrainingError` (badExemplar) for an unknown name, for maps that are given twice, and without an albedo.
    public init(name: String, files: [Given]) throws(TrainingError) {
        self.name = name
        for file in files {
            guard let content = Self.content(file.content) else {
                throw TrainingError(
                    .badExemplar,
                    "there is no map '\(file.content)'; expected one of \(Self.contentNames.joined(separator: ", "))")
            }
            try add(File(url: file.url, content: content, name: file.name))
        }
        try requireAlbedo("give it with --map albedo=FILE")
    }

    /// What files of these contents hold together; nil if that is no material.
    /// - Parameter contents: Of ``contentNames``.
    public static func layout(of contents: [String]) -> MapLayout? {
        var kinds: Set<MapKind> = []
        for name in contents {
            switch content(name) {
            case .map(let kind): kinds.insert(kind)
            case .packed(let hasOcclusion):
                kinds.formUnion([.roughness, .metalness] + (hasOcclusion ? [.ambientOcclusion] : []))
            case nil: return nil
            }
        }
        return MapLayout(Array(kinds))
    }

    private static func content(_ name: String) -> MapNames.Content? {
        switch name {
        case "orm": .packed(hasOcclusion: true)
        case "metallic-roughness": .packed(hasOcclusion: false)
        default: MapKind(rawValue: name).map { .map($0) }
        }
    }

    /// The end of a file's name by which a folder tells the content; nil for an unknown one.
    /// - Parameter content: One of ``contentNames``.
    public static func fileSuffix(of content: String) -> String? {
        switch self.content(content) {
        case .map(let kind): kind.fileSuffix
        case .packed(let hasOcclusion): hasOcclusion ? "ORM" : "MetallicRoughness"
        case nil: nil
        }
    }

    /// Whether the names of a folder's files are those of a material rather than of photographs: an albedo and another
    /// map, and more images with the name of a map than without.
    public static func areMaps(_ names: [String]) -> Bool {
        let images = names.map { URL(fileURLWithPath: $0) }.filter { isImage($0) && !isHidden($0) }
        let contents = MapNames.contents(of: images.map { $0.deletingPathExtension().lastPathComponent })
        let known = contents.compactMap { $0 }
        return known.contains(.map(.albedo)) && known.contains { $0 != .map(.albedo) }
            && 2 * known.count > contents.count
    }

    /// What results are named after: a material's folder, or the file of a photograph or an albedo without its extension.
    /// The dot of a folder's name begins no extension, so `Rock.01` and `Rock.02` have different results.
    /// - Parameter name: The exemplar's, with or without its path.
    public static func resultName(of name: String) -> String {
        let url = URL(fileURLWithPath: name)
        let isFile = pictureExtensions.contains(url.pathExtension.lowercased())
        return (isFile ? url.deletingPathExtension() : url).lastPathComponent
    }

    /// Those of photographs: files are known by their content, whatever their names end in.
    private static let pictureExtensions: Set = ["png", "jpg", "jpeg", "jpe", "jfif"]

    private static func isImage(_ url: URL) -> Bool {
        ["png", "jpg", "jpeg"].contains(url.pathExtension.lowercased())
    }

    /// macOS puts `._NAME` beside a file on other file systems.
    private static func isHidden(_ url: URL) -> Bool { url.lastPathComponent.hasPrefix(".") }

    /// The images of a folder, told apart by their names. Hidden files do not count.
    /// - Throws: `TrainingError` (badExemplar) if the folder cannot be read, if two files contain the same map, or if there
    ///   is no albedo.
    public init(folder: URL, name: String) throws(TrainingError) {
        self.name = name
        let found: [URL]
        do {
            found = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        } catch {
            throw TrainingError(.badExemplar, "\(name) cannot be read: \(error.systemReason)")
        }
        let images = found.filter { Self.isImage($0) && !Self.isHidden($0) }
            .sorted { $0.lastPathComponent < $1.lastPathComponent }
        let contents = MapNames.contents(of: images.map { $0.deletingPathExtension().lastPathComponent })
        // Sites offer both directions of green.
        let hasGL = contents.contains(.map(.normalGL))
        for (url, content) in zip(images, contents) {
            guard let content else {
                notes.append("\(url.lastPathComponent) is not used: its name says no map that texloom knows")
                continue
            }
            if content == .map(.normalDX), hasGL {
                notes.append("\(url.lastPathComponent) is not used: there are normals for OpenGL too")
                continue
            }
            if content == .map(.normalGL), !MapNames.saysGreenIsUp(url.deletingPathExtension().lastPathComponent) {
                notes.append(
                    "\(url.lastPathComponent) does not say where green points: it is taken for up, as in OpenGL "
                        + "(--map normal-dx=FILE for down)")
            }
            try add(File(url: url, content: content, name: "\(name)/\(url.lastPathComponent)"))
        }
        try requireAlbedo(
            "a folder is read as the maps of one material: expected a name that ends in Color, albedo or diff, or "
                + "--map albedo=FILE. Of photographs, name one file; 'texloom submit' takes a folder of them")
    }

    private mutating func add(_ file: File) throws(TrainingError) {
        if let other = files.first(where: { $0.content == file.content || ($0.isNormal && file.isNormal) }) {
            throw TrainingError(
                .badExemplar,
                "\(other.name) and \(file.name) contain the same map; remove one, or name the files with --map")
        }
        files.append(file)
    }

    /// The first of them: a folder may hold hundreds of photographs.
    private var notesInBrackets: String {
        guard !notes.isEmpty else { return "" }
        let shown = notes.prefix(3).joined(separator: "; ")
        return " (\(shown)\(notes.count > 3 ? "; and \(notes.count - 3) more" : ""))"
    }

    private func requireAlbedo(_ advice: String) throws(TrainingError) {
        guard files.contains(where: { $0.content == .map(.albedo) }) else {
            throw TrainingError(.badExemplar, "\(name) has no albedo; \(advice)\(notesInBrackets)")
        }
        guard files.count > 1 else {
            throw TrainingError(
                .badExemplar,
                "\(name) has no map besides the albedo; give the picture itself, or add maps with --map")
        }
    }
}

extension MaterialFiles.File {
    fileprivate var isNormal: Bool { content == .map(.normalGL) || content == .map(.normalDX) }
}
