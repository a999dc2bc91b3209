import Foundation

/// What results are called after their exemplars' files: "bricks" of photos/bricks.jpg, and "wall_albedo" of
/// wall/albedo.png where another has the name albedo.
enum ExemplarNames {
    static func short(_ path: String) -> String { FileName.stem(of: path) }

    /// With the folder's name before it.
    static func long(_ path: String) -> String {
        let folder = FileName.plain(path).standardizedFileURL.deletingLastPathComponent().lastPathComponent
        return folder == "/" ? short(path) : "\(folder)_\(short(path))"
    }

    /// What a result may be called, best first.
    static func candidates(_ path: String) -> [String] {
        [short(path), long(path)] + (2...999).map { "\(long(path))-\($0)" }
    }

    /// The names of files that are submitted together, in their order: the long one where the short one would be
    /// another's too and folders tell them apart.
    static func together(_ paths: [String]) -> [String] {
        let groups = Dictionary(grouping: paths, by: short)
        return paths.map { path in
            let isAmbiguous = Set((groups[short(path)] ?? []).map(long)).count > 1
            return isAmbiguous ? long(path) : short(path)
        }
    }
}
