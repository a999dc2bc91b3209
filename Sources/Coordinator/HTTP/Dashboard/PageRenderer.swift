import Base
import Foundation
import HTTPTypes
import Hummingbird
import Mustache

/// Renders pages from the templates in the executable. Templates escape every value.
struct PageRenderer: Sendable {
    /// A page's template, its place in the header's links, and its title.
    struct Page: Sendable {
        var template: String
        var title: String
        /// The template of the page in the menu that this one belongs to, if it is another.
        var menu: String?
    }

    private static let links = [
        ("Overview", "/", "overview"), ("Jobs", "/jobs", "jobs"), ("Batches", "/batches", "batches"),
        ("Gallery", "/gallery", "gallery"),
        ("Workers", "/workers", "workers"), ("Submit", "/submit", "submit"),
    ]

    private let library: MustacheLibrary
    private let assets: String
    /// What every page says if other machines can do everything here.
    private let insecurity: String?

    /// - Throws: If a template is malformed. Every start would show it.
    init(assets: String, insecurity: String? = nil) throws {
        self.assets = assets
        self.insecurity = insecurity
        var library = MustacheLibrary()
        for (name, bytes) in [
            ("layout", PackageResources.layout_mustache), ("overview", PackageResources.overview_mustache),
            ("jobs", PackageResources.jobs_mustache), ("job", PackageResources.job_mustache),
            ("workers", PackageResources.workers_mustache), ("gallery", PackageResources.gallery_mustache),
            ("submit", PackageResources.submit_mustache), ("answer", PackageResources.answer_mustache),
            ("actions", PackageResources.actions_mustache), ("job-card", PackageResources.job_card_mustache),
            ("worker-card", PackageResources.worker_card_mustache), ("picture", PackageResources.picture_mustache),
            ("pager", PackageResources.pager_mustache), ("seeds", PackageResources.seeds_mustache),
            ("seed-cards", PackageResources.seed_cards_mustache), ("login", PackageResources.login_mustache),
            ("audit", PackageResources.audit_mustache), ("batch", PackageResources.batch_mustache),
            ("batches", PackageResources.batches_mustache),
        ] {
            try library.register(String(decoding: bytes, as: UTF8.self), named: name)
        }
        self.library = library
    }

    /// - Parameter content: The values that the template names.
    func response(
        _ page: Page, for context: CallerContext, status: HTTPResponse.Status = .ok, _ content: [String: Any?]
    ) -> Response {
        var values: [String: Any] = content.compactMapValues { $0 }
        values["title"] = page.title
        values["page"] = page.template
        values["assets"] = assets
        values["now"] = Date().formatted(.iso8601)
        values["time"] = Readable.time(Date())
        values["insecurity"] = insecurity
        values["isInsecure"] = insecurity != nil
        if let principal = context.principal, principal.tokenID != nil {
            values["caller"] = "\(principal.name) (\(principal.role.rawValue))"
            values["isLoggedIn"] = true
        }
        // Before the login the page has no menu.
        let isAdmin = context.principal?.role == .admin
        let links = context.principal == nil ? [] : Self.links + (isAdmin ? [("Audit", "/audit", "audit")] : [])
        values["links"] = links.map { name, address, template in
            ["name": name, "address": address, "isCurrent": template == page.template || template == page.menu]
                as [String: Any]
        }
        return Response(
            status: status,
            headers: [
                .contentType: "text/html; charset=utf-8", .cacheControl: "no-store",
                .contentSecurityPolicy:
                    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
                    + "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
                .xContentTypeOptions: "nosniff", HTTPField.Name("Referrer-Policy")!: "same-origin",
            ],
            body: ResponseBody(
                byteBuffer: ByteBuffer(string: library.render(values, withTemplate: page.template) ?? "")))
    }

    /// - Parameter back: Where the page's link leads.
    func response(to problem: Problem, for context: CallerContext, back: String) -> Response {
        var response = response(
            Page(template: "answer", title: problem.status.reasonPhrase), for: context, status: problem.status,
            ["message": Readable.plain(problem.detail), "isProblem": true, "back": back])
        response.headers.append(contentsOf: problem.headers)
        return response
    }
}
