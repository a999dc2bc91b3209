import Foundation
import OperatingSystem
import TextureGAN

/// Finds exemplars in files, folders and patterns. Names are compared byte for byte: `é` in one character and `é` in two
/// are two files.
enum ExemplarFiles {
    enum Candidate: Equatable {
        case file(String)
        /// A folder with the maps of a material.
        case material(String)
        case refused(String, reason: String)
    }

    /// In order, without duplicates. A folder whose files have the names of maps is one material; so is such a folder in a
    /// named one. Refuses a named file that does not exist, and files in folders that are not images,
    /// except hidden ones.
    static func collect(_ paths: [String]) -> [Candidate] {
        var result: [Candidate] = []
        var seen: Set<[UInt8]> = []
        func add(_ path: String, isMaterial: Bool = false) {
            if seen.insert(Array(URL(fileURLWithPath: path).standardizedFileURL.path.utf8)).inserted {
                result.append(isMaterial ? .material(path) : .file(path))
            }
        }
        for path in paths {
            switch kind(of: path) {
            case .folder:
                guard let names = names(in: path) else {
                    result.append(.refused(path, reason: "the folder cannot be read"))
                    continue
                }
                if MaterialFiles.areMaps(names) {
                    add(path, isMaterial: true)
                    continue
                }
                if names.isEmpty { result.append(.refused(path, reason: "the folder is empty")) }
                for name in names {
                    let file = path.hasSuffix("/") ? path + name : "\(path)/\(name)"
                    if kind(of: file) == .folder, MaterialFiles.areMaps(Self.names(in: file) ?? []) {
                        add(file, isMaterial: true)
                    } else if kind(of: file) == .folder {
                        result.append(.refused(file, reason: "is a folder; name it to submit what is in it"))
                    } else {
                        add(file)
                    }
                }
            case .other: add(path)
            case .unseen(let reason):
                let matches = expand(pattern: path)
                if matches.isEmpty { result.append(.refused(path, reason: reason)) }
                for match in matches { add(match) }
            }
        }
        return result
    }

    private enum Kind: Equatable {
        case folder, other
        /// Nothing has that name, or a folder above it may not be entered.
        case unseen(reason: String)
    }

    private static func kind(of path: String) -> Kind {
        guard access(FileName.cString(path), F_OK) == 0 else {
            let number = errno
            return .unseen(
                reason: number == ENOENT || number == ENOTDIR ? "no such file" : reasonOfSystem(number))
        }
        return FileName.isFolder(path) ? .folder : .other
    }

    /// The files in a folder except hidden ones, in byte order; nil if it cannot be read.
    private static func names(in folder: String) -> [String]? {
        guard let stream = opendir(FileName.cString(folder)) else { return nil }
        defer { closedir(stream) }
        var names: [[UInt8]] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            if name.first != UInt8(ascii: ".") { names.append(name) }
        }
        return names.sorted { $0.lexicographicallyPrecedes($1) }.map { FileName.text(of: $0) }
    }

    private static func expand(pattern: String) -> [String] {
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(FileName.cString(pattern), 0, nil, &found) == 0 else { return [] }
        return (0..<Int(found.gl_pathc)).compactMap { index in
            found.gl_pathv[index].map { FileName.text(of: Data(bytes: $0, count: strlen($0))) }
        }
    }
}
