import ArgumentParser
import Foundation
import TextureGAN

/// `--map`: the maps of a material, file by file.
struct MapOptions: ParsableArguments {
    @Option(
        name: .customLong("map"),
        help: ArgumentHelp(
            """
            A map of a material, instead of a folder: albedo, normal-gl or normal-dx (green up or down), roughness, \
            metalness, ao, displacement, opacity; or orm (occlusion, roughness and metalness in one file) and \
            metallic-roughness. Once for each file.
            """, valueName: "map=file"))
    var maps: [MapArgument] = []

    /// - Throws: `ValidationError` unless there is either a path or a map.
    func require(instead path: String?, _ expected: String) throws {
        guard path == nil || maps.isEmpty else {
            throw ValidationError("--map and \(path ?? ""): expected one of them")
        }
        guard path != nil || !maps.isEmpty else { throw ValidationError("expected \(expected), or --map") }
    }

    /// What to call a material whose maps are named: the albedo's path.
    var materialName: String { (maps.first { $0.content == "albedo" } ?? maps.first)?.path ?? "" }

    /// The files of the material; nil if a path is given that is no folder.
    /// - Throws: `TrainingError` saying what is wrong with the files; `CommandFailure` for a name that is not UTF-8.
    func files(orFolder path: String?) throws -> MaterialFiles? {
        guard let path else {
            return try MaterialFiles(
                name: materialName,
                files: maps.map {
                    let url = try textURL($0.path)
                    return MaterialFiles.Given(content: $0.content, name: url.path, url: url)
                })
        }
        guard FileName.isFolder(path) else { return nil }
        return try MaterialFiles(folder: textURL(path), name: path)
    }

    private func textURL(_ path: String) throws -> URL {
        guard FileName.isText(path) else {
            throw CommandFailure(
                "\(FileName.readable(path)): the names of a material's files and folders have to be UTF-8; rename it")
        }
        return URL(fileURLWithPath: path)
    }
}

/// `map=file`.
struct MapArgument: ExpressibleByArgument {
    let content: String
    let path: String

    init?(argument: String) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, MaterialFiles.contentNames.contains(parts[0]), !parts[1].isEmpty else { return nil }
        (content, path) = (parts[0], parts[1])
    }

    static var allValueStrings: [String] { MaterialFiles.contentNames.map { "\($0)=FILE" } }
}
