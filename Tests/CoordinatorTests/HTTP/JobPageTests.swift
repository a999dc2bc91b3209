import ClusterCore
import Foundation
import Protocol
import Testing

@testable import Coordinator

/// What the page of a job that makes pictures shows.
@Suite struct JobPageTests {
    private static func sha(_ number: Int) -> String { String(format: "%064x", number) }

    /// - Parameter more: fields of the first picture's report.
    private func content(
        pictures: Int, previews: Range<Int>, side: Int, showsAll: Bool = false, more: String = ""
    ) -> [String: Any?] {
        let job = JobSummary(
            id: "000001aa", kind: .expand, name: "wall-expand", resultName: "wall-expand", fileName: "wall.png",
            recipe: "times=1", state: .finished, priority: 0, iteration: 1000, totalIterations: 1000,
            secondsPerIteration: nil, etaSeconds: nil, attempt: 1, failures: 0, worker: nil, reason: nil,
            exemplarSHA256: Self.sha(9), latestSnapshot: Self.sha(2000 + pictures), latestSnapshotIteration: pictures,
            submittedAt: Date(), startedAt: nil, finishedAt: nil, lossLatest: [:])
        let sizes = (0..<pictures).map { "{\"width\":\(side),\"height\":\(side)\($0 == 0 ? more : "")}" }
        let detail = JobDetail(
            job: job, recipeYAML: "times=1", attempts: [],
            reportJSON: "{\"pictures\":[\(sizes.joined(separator: ","))]}", trainingSeconds: 1)
        func artifact(_ role: ArtifactRole, _ number: Int, _ sha: Int) -> ArtifactSummary {
            ArtifactSummary(role: role, iteration: number, sha256: Self.sha(sha), sizeBytes: 9, createdAt: Date())
        }
        let artifacts =
            [artifact(.exemplar, 0, 9), artifact(.generator, 0, 8)]
            + (1...pictures).map { artifact(.picture, $0, 1000 + $0) }
            + previews.map { artifact(.snapshot, $0, 2000 + $0) }
        return JobPageView(detail: detail, artifacts: artifacts, log: [], shownIteration: nil, showsAll: showsAll)
            .content
    }

    private func made(_ content: [String: Any?]) -> [[String: Any]] { content["made"] as? [[String: Any]] ?? [] }

    @Test func manyPicturesAreShownOnDemand() throws {
        let first = content(pictures: 60, previews: 1..<61, side: 100)
        #expect(made(first).count == 24 && first["hasMore"] as? Bool == true)
        #expect(first["madeCount"] as? String == "60 pictures")
        #expect((first["files"] as? [Any])?.count == 26)
        let all = content(pictures: 60, previews: 1..<61, side: 100, showsAll: true)
        #expect(made(all).count == 60 && all["hasMore"] as? Bool == false && (all["files"] as? [Any])?.count == 62)
        #expect(content(pictures: 24, previews: 1..<25, side: 100)["hasMore"] as? Bool == false)
    }

    /// The coordinator decodes no picture of 16384 pixels: the worker sent a small one.
    @Test func thumbnailsAreThePreviewsOfTheWorker() throws {
        let large = made(content(pictures: 3, previews: 2..<4, side: 16384))
        #expect(large.map { $0["hasThumbnail"] as? Bool } == [false, true, true])
        #expect(large.map { $0["thumbnail"] as? String } == ["", preview(2002), preview(2003)])
        // A worker of an older texloom sent none.
        let small = made(content(pictures: 2, previews: 2..<3, side: 500))
        #expect(small.map { $0["thumbnail"] as? String } == ["/thumbnails/\(Self.sha(1001)).png", preview(2002)])
    }

    @Test func tilesShowTheirSeams() throws {
        let tile = made(content(pictures: 1, previews: 1..<2, side: 500, more: #","seam_x":0.612,"seam_y":1.25"#))
        #expect(tile[0]["size"] as? String == "500 × 500, seam x 0.61, y 1.25")
        let row = made(content(pictures: 1, previews: 1..<2, side: 500, more: #","seam_x":0.612"#))
        #expect(row[0]["size"] as? String == "500 × 500, seam x 0.61")
    }

    /// 29 of 100 is 28.999… in floating point.
    @Test func progressAndPaceReadAsInATerminal() {
        var job = self.job
        (job.state, job.iteration, job.totalIterations, job.secondsPerIteration) = (.running, 29, 100, 2.31)
        let item = Item.job(job)
        #expect(item["progress"] as? String == "29 of 100 (29\u{A0}%)")
        #expect(item["speed"] as? String == "2.31\u{A0}s/it")
        job.iteration = 100
        #expect(Item.job(job)["progress"] as? String == "100 of 100 (99\u{A0}%)", "the result is still to come")
    }

    @Test func timesNameTheirZone() {
        var job = self.job
        let start = Date(timeIntervalSince1970: 1_800_000_000)
        (job.state, job.finishedAt) = (.finished, start)
        let attempts = [nil, start].map { end in
            AttemptSummary(
                number: 1, workerID: "oak", worker: "oak", startIteration: 0, iteration: 9, startedAt: start,
                endedAt: end, outcome: nil, reason: nil)
        }
        let detail = JobDetail(
            job: job, recipeYAML: "k: 8", attempts: attempts, reportJSON: nil, trainingSeconds: nil)
        let content = JobPageView(detail: detail, artifacts: [], log: [], shownIteration: nil).content
        #expect(content["endedAt"] as? String == "2027-01-15T08:00:00Z")
        let times = (content["attempts"] as? [[String: Any]])?.compactMap { $0["times"] as? String }
        #expect(times == ["2027-01-15 08:00:00 to 2027-01-15 08:00:00 UTC", "2027-01-15 08:00:00 UTC"])
    }

    private var job: JobSummary {
        JobSummary(
            id: "000001ab", kind: .train, name: "wall", resultName: "wall", fileName: "wall.png", recipe: "draft",
            state: .queued, priority: 0, iteration: 0, totalIterations: 100, secondsPerIteration: nil,
            etaSeconds: nil, attempt: 1, failures: 0, worker: nil, reason: nil, exemplarSHA256: Self.sha(9),
            latestSnapshot: nil, latestSnapshotIteration: nil, submittedAt: Date(), startedAt: nil, finishedAt: nil,
            lossLatest: [:])
    }

    /// The whole picture, not cut to a square.
    private func preview(_ sha: Int) -> String { "/api/v1/artifacts/\(Self.sha(sha))" }

    /// A preview is no snapshot at the exemplar's scale, and no file to download.
    @Test func previewsAreNoSnapshots() throws {
        let shown = content(pictures: 3, previews: 1..<4, side: 500)
        #expect(shown["shown"] as? [String: Any] == nil && shown["hasStrip"] as? Bool == false)
        #expect((shown["files"] as? [Any])?.count == 5)
        #expect(shown["picture"] as? String == Self.sha(2003), "lists show it")
    }
}
