import Foundation
import HTTPTypes
import Hummingbird
import Protocol

/// The pages for people.
struct DashboardRoutes: Sendable {
    let reader: ClusterReader
    let thumbnails: ThumbnailCache

    func add(to router: Router<BasicRequestContext>) {
        router.get("", use: overview)
        router.get("style.css") { _, _ in PageFrame.styleResponse() }
        router.get("jobs/:id", use: job)
        router.get("thumbnails/:file", use: thumbnail)
    }

    @Sendable private func overview(_ request: Request, _ context: BasicRequestContext) async throws -> Response {
        let question = try JobQuestion(request.uri.queryParameters, limit: OverviewPage.jobsPerPage, in: 1...200)
        let page = OverviewPage(
            summary: try await reader.summary(), workers: try await reader.workers(),
            page: try await reader.jobs(question))
        return page.response()
    }

    @Sendable private func job(_ request: Request, _ context: BasicRequestContext) async throws -> Response {
        let text: String = try context.parameters.require("id")
        guard let id = JobID(text), let detail = try await reader.detail(id) else {
            return PageFrame.response(title: "Not found", status: .notFound) { main in
                main.element("h1", "There is no job '\(text)'")
            }
        }
        let view = JobPageView(
            detail: detail, artifacts: try await reader.store.artifacts(of: id),
            log: try await reader.store.newestLogs(of: id, limit: JobPageView.logLinesShown))
        return view.response()
    }

    @Sendable private func thumbnail(_ request: Request, _ context: BasicRequestContext) async throws -> Response {
        let file: String = try context.parameters.require("file")
        guard file.hasSuffix(".png"), case let sha256 = String(file.dropLast(4)), SHA256Text.isValid(sha256),
            let kind = try await reader.store.kind(ofArtifact: sha256), kind == .snapshot || kind == .exemplar
        else {
            throw Problem(.notFound, "there is no picture '\(file)'")
        }
        let tag = "\"thumbnail-\(sha256)\""
        var headers: HTTPFields = [
            .eTag: tag, .cacheControl: "private, max-age=31536000, immutable", .xContentTypeOptions: "nosniff",
        ]
        if request.headers[.ifNoneMatch] == tag { return Response(status: .notModified, headers: headers) }
        let png = try await thumbnails.png(of: sha256)
        headers[.contentType] = "image/png"
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: png)))
    }
}
