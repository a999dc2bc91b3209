import Foundation

/// Whether something has a name, at the end of all links.
/// - Throws: ``FileFailure`` if the system cannot say. The file may be there then, in a folder that this process may not
///   enter.
public func fileExists(at file: URL) throws(FileFailure) -> Bool {
    var status = stat()
    guard stat(file.path, &status) != 0 else { return true }
    let failure = FileFailure("look at", file)
    guard failure.number == ENOENT || failure.number == ENOTDIR else { throw failure }
    return false
}
