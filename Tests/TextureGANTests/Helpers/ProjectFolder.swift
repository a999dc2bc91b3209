import Foundation

/// The project's folder, found by this file's path.
let projectFolder = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
/// The files beside these tests.
let fixturesFolder = projectFolder.appendingPathComponent("Tests/TextureGANTests/Fixtures")
