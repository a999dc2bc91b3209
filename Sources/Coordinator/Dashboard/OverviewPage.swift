import Foundation
import Hummingbird
import Protocol

/// `/`: counts, workers and jobs at a glance.
struct OverviewPage {
    static let jobsPerPage = 100

    var summary: ClusterSummary
    var workers: [WorkerSummary]
    var page: JobPage

    func response() -> Response {
        PageFrame.response(title: "Jobs") { main in
            main.element("h1", "Textures")
            counts(&main)
            workerTable(&main)
            jobTable(&main)
        }
    }

    private func counts(_ html: inout HTML) {
        html.element("ul", ["class": "counts"]) { list in
            for state in JobState.allCases {
                list.element("li") { item in
                    item.element("b", "\(summary.jobs[state.rawValue] ?? 0)")
                    item.element("span", ["class": "state \(state.rawValue)"], state.rawValue)
                }
            }
            list.element("li") { item in
                item.element("b", String(format: "%.2f", summary.iterationsPerSecond))
                item.element("span", ["class": "dim"], "iterations/s")
            }
        }
    }

    private func workerTable(_ html: inout HTML) {
        html.element("h2", "Workers")
        guard !workers.isEmpty else {
            html.element(
                "p", ["class": "dim"], "No worker has connected yet. They are expected at \(summary.workerEndpoint).")
            return
        }
        html.element("div", ["class": "scroll"]) { scroll in
            scroll.element("table") { table in
                Table.head(&table, ["Worker", "State", "Slots × threads", "Iterations/s", "Jobs", "CPU", "Version"])
                for worker in workers {
                    table.element("tr") { row in
                        row.element("td", worker.name)
                        let state =
                            worker.isConnected
                            ? (worker.isDraining ? "draining" : "connected")
                            : "last seen \(Readable.time(worker.lastSeenAt))"
                        row.element("td", state)
                        row.element("td", "\(worker.slots) × \(worker.threadsPerSlot)")
                        row.element("td", String(format: "%.2f", worker.iterationsPerSecond))
                        row.element("td") { cell in
                            for job in worker.jobs {
                                cell.element("a", ["href": "/jobs/\(job)"], job)
                                cell.text(" ")
                            }
                        }
                        row.element("td", worker.cpu)
                        row.element("td", worker.softwareVersion)
                    }
                }
            }
        }
    }

    private func jobTable(_ html: inout HTML) {
        html.element("h2", "Jobs")
        guard !page.jobs.isEmpty else {
            html.element("p", ["class": "dim"], "No jobs yet. Submit some: texloom submit photo.jpg")
            return
        }
        html.element("div", ["class": "scroll"]) { scroll in
            scroll.element("table") { table in
                Table.head(&table, ["", "Name", "State", "Progress", "Left", "Losses", "Worker", "Note"])
                for job in page.jobs { row(job, &table) }
            }
        }
        if let next = page.next {
            html.element("p") { $0.element("a", ["href": "/?before=\(next)"], "Older jobs") }
        }
    }

    private func row(_ job: JobSummary, _ table: inout HTML) {
        table.element("tr") { row in
            row.element("td") { cell in
                cell.element("a", ["href": "/jobs/\(job.id)"]) { link in
                    let picture = job.latestSnapshot ?? job.exemplarSHA256
                    link.void(
                        "img",
                        [
                            "class": "thumb", "src": "/thumbnails/\(picture).png", "loading": "lazy",
                            "alt": job.latestSnapshot == nil ? "exemplar" : "newest snapshot",
                        ])
                }
            }
            row.element("td") { cell in
                cell.element("a", ["href": "/jobs/\(job.id)"], job.name)
                cell.void("br")
                cell.element("span", ["class": "dim"], job.id)
            }
            row.element("td") { $0.element("span", ["class": "state \(job.state.rawValue)"], job.state.rawValue) }
            row.element("td") { JobFigures.progress(job, &$0) }
            row.element("td", job.etaSeconds.map(Readable.duration) ?? "")
            row.element("td", JobFigures.losses(job))
            row.element("td", job.worker ?? "")
            row.element("td", ["class": "reason"], job.reason ?? "")
        }
    }
}

enum Table {
    static func head(_ table: inout HTML, _ titles: [String]) {
        table.element("tr") { row in
            for title in titles { row.element("th", ["scope": "col"], title) }
        }
    }
}

/// Parts that lists and the job's page share.
enum JobFigures {
    static func progress(_ job: JobSummary, _ html: inout HTML) {
        guard job.totalIterations > 0 else { return html.text(job.state == .running ? "starting" : "") }
        html.element(
            "progress", ["max": "\(job.totalIterations)", "value": "\(min(job.iteration, job.totalIterations))"]
        ) { _ in }
        let percent = 100 * Double(job.iteration) / Double(job.totalIterations)
        html.element("div", ["class": "dim"], "\(job.iteration) of \(job.totalIterations) (\(Int(percent)) %)")
    }

    static func losses(_ job: JobSummary) -> String {
        job.lossLatest.sorted { $0.key < $1.key }.map { "\($0.key) \(Readable.loss($0.value))" }
            .joined(separator: ", ")
    }
}
