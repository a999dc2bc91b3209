import Foundation

func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

/// `manifest.json` of a result folder, as another program reads it.
struct GatheredManifest: Decodable {
    struct File: Decodable {
        let path: String
        let role: String?
        let bytes: Int
        let sha256: String
    }
    struct Source: Decodable { let id: String }
    let files: [File]
    let figures: [String: Float]
    let recipe: String
    let licence: String?
    let made_from: [Source]?

    init(in folder: String) throws {
        self = try JSONDecoder().decode(Self.self, from: bytes("\(folder)/manifest.json"))
    }

    /// The files with a role.
    func paths(_ role: String) -> [String] { files.filter { $0.role == role }.map(\.path) }
}
