import ClusterCore
import Foundation

/// Names of results after their exemplars' files: "bricks" for photos/bricks.jpg, and "wall_albedo" for wall/albedo.png
/// if another result has the name albedo.
enum ExemplarNames {
    static func short(_ path: String) -> String { FileName.stem(of: path) }

    /// With the folder's name before it.
    static func long(_ path: String) -> String {
        let folder = FileName.plain(path).standardizedFileURL.deletingLastPathComponent().lastPathComponent
        return folder == "/" ? short(path) : "\(folder)_\(short(path))"
    }

    /// Possible names of a result, best first.
    static func candidates(_ path: String) -> [String] {
        [short(path), long(path)] + (2...999).map { "\(long(path))-\($0)" }
    }

    /// The same as names of folders: a job of the same name has a folder of the same name.
    static func folders(_ path: String) -> [String] {
        let (short, long) = (FileSystemName.clean(short(path)), FileSystemName.clean(long(path)))
        return [short, long] + (2...999).map { "\(long)-\($0)" }
    }

    /// The names of files that are submitted together, in their order: the long name if several files share the short one
    /// and their folders differ.
    static func together(_ paths: [String]) -> [String] {
        let groups = Dictionary(grouping: paths, by: short)
        return paths.map { path in
            let isAmbiguous = Set((groups[short(path)] ?? []).map(long)).count > 1
            return isAmbiguous ? long(path) : short(path)
        }
    }
}
