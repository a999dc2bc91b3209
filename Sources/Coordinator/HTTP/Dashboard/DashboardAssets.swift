import Base
import Crypto
import Foundation
import HTTPTypes
import Hummingbird

/// The files that pages load, embedded in the executable.
struct DashboardAssets: Sendable {
    private struct File: Sendable {
        var bytes: [UInt8]
        var type: String

        static func script(_ bytes: [UInt8]) -> File { File(bytes: bytes, type: "text/javascript; charset=utf-8") }
    }

    private let files: [String: File] = [
        "texloom.css": File(bytes: PackageResources.texloom_css, type: "text/css; charset=utf-8"),
        "texloom.js": .script(PackageResources.texloom_js), "actions.js": .script(PackageResources.actions_js),
        "charts.js": .script(PackageResources.charts_js), "live.js": .script(PackageResources.live_js),
        "log.js": .script(PackageResources.log_js), "page.js": .script(PackageResources.page_js),
        "refresh.js": .script(PackageResources.refresh_js), "snapshots.js": .script(PackageResources.snapshots_js),
        "submit.js": .script(PackageResources.submit_js),
        "icon.svg": File(bytes: PackageResources.icon_svg, type: "image/svg+xml"),
    ]
    /// Part of each file's address, so that a browser never uses an old texloom's cached files for a new one's pages.
    let version: String

    init() {
        var hash = SHA256()
        for name in files.keys.sorted() { hash.update(data: files[name]!.bytes) }
        version = hexadecimal(hash.finalize().prefix(8))
    }

    /// - Throws: `Problem` (404).
    func respond(to name: String) throws -> Response {
        guard let file = files[name] else { throw Problem(.notFound, "there is no file '\(name)'") }
        return Response(
            status: .ok,
            headers: [
                .contentType: file.type, .cacheControl: "public, max-age=31536000, immutable",
                .xContentTypeOptions: "nosniff",
            ],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: file.bytes)))
    }
}
