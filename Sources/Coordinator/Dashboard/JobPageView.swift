import Foundation
import Hummingbird
import Protocol

/// `/jobs/{id}`: one job with its pictures, attempts and log.
struct JobPageView {
    /// How many snapshots the strip shows, the newest last.
    static let snapshotsShown = 60
    static let logLinesShown = 200

    var detail: JobDetail
    var artifacts: [ArtifactSummary]
    var log: [LogEntry]

    func response() -> Response {
        let job = detail.job
        return PageFrame.response(title: job.name) { main in
            main.element("h1", job.name)
            main.element("p") { line in
                line.element("span", ["class": "state \(job.state.rawValue)"], job.state.rawValue)
                line.element(
                    "span", ["class": "dim"], " · \(job.id) · \(job.fileName) · folder \(job.resultName)_result")
            }
            if let reason = job.reason { main.element("p", ["class": "reason"], reason) }
            main.element("p") { JobFigures.progress(job, &$0) }
            main.element("p", speed(job))
            pictures(&main)
            attempts(&main)
            files(&main)
            main.element("h2", "Recipe")
            main.element("pre", detail.recipeYAML)
            logLines(&main)
        }
    }

    private func speed(_ job: JobSummary) -> String {
        var parts: [String] = []
        if let seconds = job.secondsPerIteration { parts.append(String(format: "%.3f s per iteration", seconds)) }
        if let eta = job.etaSeconds { parts.append("\(Readable.duration(eta)) left") }
        if let seconds = detail.trainingSeconds { parts.append("trained for \(Readable.duration(seconds))") }
        let losses = JobFigures.losses(job)
        if !losses.isEmpty { parts.append(losses) }
        return parts.joined(separator: " · ")
    }

    private func pictures(_ html: inout HTML) {
        let job = detail.job
        let snapshots = artifacts.filter { $0.kind == .snapshot }.suffix(Self.snapshotsShown)
        html.element("h2", "Pictures")
        html.element("div", ["class": "pictures"]) { pictures in
            figure(&pictures, sha256: job.exemplarSHA256, caption: "exemplar")
            if let newest = snapshots.last {
                figure(&pictures, sha256: newest.sha256, caption: "iteration \(newest.iteration)")
            }
        }
        guard snapshots.count > 1 else { return }
        html.element("h2", "Snapshots")
        html.element("div", ["class": "strip"]) { strip in
            for snapshot in snapshots {
                strip.element("figure") { figure in
                    figure.element("a", ["href": "/api/v1/artifacts/\(snapshot.sha256)"]) { link in
                        link.void(
                            "img",
                            [
                                "src": "/thumbnails/\(snapshot.sha256).png", "loading": "lazy",
                                "alt": "iteration \(snapshot.iteration)",
                            ])
                    }
                    figure.element("figcaption", "\(snapshot.iteration)")
                }
            }
        }
    }

    private func figure(_ html: inout HTML, sha256: String, caption: String) {
        html.element("figure") { figure in
            figure.element("a", ["href": "/api/v1/artifacts/\(sha256)"]) { link in
                link.void("img", ["src": "/api/v1/artifacts/\(sha256)", "alt": caption])
            }
            figure.element("figcaption", caption)
        }
    }

    private func attempts(_ html: inout HTML) {
        guard !detail.attempts.isEmpty else { return }
        html.element("h2", "Attempts")
        html.element("div", ["class": "scroll"]) { scroll in
            scroll.element("table") { table in
                Table.head(&table, ["", "Worker", "From", "To", "Started (UTC)", "Ended (UTC)", "Outcome", "Reason"])
                for attempt in detail.attempts {
                    table.element("tr") { row in
                        row.element("td", "\(attempt.number)")
                        row.element("td", attempt.worker)
                        row.element("td", "\(attempt.startIteration)")
                        row.element("td", "\(attempt.iteration)")
                        row.element("td", Readable.time(attempt.startedAt))
                        row.element("td", attempt.endedAt.map(Readable.time) ?? "")
                        row.element("td", attempt.outcome ?? "running")
                        row.element("td", ["class": "reason"], attempt.reason ?? "")
                    }
                }
            }
        }
    }

    private func files(_ html: inout HTML) {
        html.element("h2", "Files")
        html.element("ul") { list in
            for artifact in artifacts where artifact.kind != .snapshot {
                list.element("li") { item in
                    let name = "\(artifact.kind.rawValue), iteration \(artifact.iteration)"
                    let title = artifact.kind == .exemplar ? "exemplar" : name
                    item.element("a", ["href": "/api/v1/artifacts/\(artifact.sha256)"], title)
                    item.element("span", ["class": "dim"], " \(Readable.bytes(artifact.sizeBytes))")
                }
            }
        }
    }

    private func logLines(_ html: inout HTML) {
        html.element("h2", "Log")
        html.element("pre") { pre in
            for line in log {
                pre.text("\(Readable.time(line.at)) \(line.level) \(line.source) #\(line.attempt): \(line.message)\n")
            }
        }
    }
}
