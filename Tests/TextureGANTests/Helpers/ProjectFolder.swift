import Foundation

/// The project's folder, from this file's path.
let projectFolder = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
/// The fixtures of these tests.
let fixturesFolder = projectFolder.appendingPathComponent("Tests/TextureGANTests/Fixtures")
