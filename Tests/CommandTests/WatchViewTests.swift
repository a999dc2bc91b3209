import Foundation
import Protocol
import Testing

@testable import ClusterCore
@testable import texloom

@Suite struct WatchViewTests {
    private func job(_ number: Int, _ state: JobState, _ change: (inout JobSummary) -> Void = { _ in }) -> JobSummary {
        var job = JobSummary(
            id: String(format: "%010d", number), name: "job\(number)", resultName: "job\(number)",
            fileName: "job\(number).jpg", recipe: "draft", state: state, priority: 0, iteration: 300,
            totalIterations: 1000, secondsPerIteration: state == .running ? 0.25 : nil,
            etaSeconds: state == .running ? 175 : nil, attempt: 1, failures: 0, worker: "loom", reason: nil,
            exemplarSHA256: "", latestSnapshot: nil, latestSnapshotIteration: nil,
            submittedAt: Date(timeIntervalSince1970: 0),
            startedAt: nil, finishedAt: state.isSettled ? Date(timeIntervalSince1970: Double(number)) : nil,
            lossLatest: ["l1": 0.25])
        change(&job)
        return job
    }

    private func picture(_ jobs: [JobSummary], counts: [JobState: Int] = [:], workers: Int = 2) -> ClusterPicture {
        var picture = ClusterPicture()
        for job in jobs { picture.put(job) }
        var numbers = Dictionary(
            uniqueKeysWithValues: JobState.allCases.map { state in
                (state.rawValue, jobs.count { $0.state == state })
            })
        for (state, count) in counts { numbers[state.rawValue] = count }
        picture.summary = ClusterSummary(
            version: "1", coordinatorID: "c", startedAt: Date(), workerEndpoint: "tcp://127.0.0.1:1", jobs: numbers,
            workersConnected: workers, slots: 4, slotsWanted: 0, iterationsPerSecond: 8, queueSeconds: 7260)
        picture.workers = (0..<workers).map { index in
            WorkerSummary(
                id: "\(index)", name: "worker-\(index)", softwareVersion: "1", cpu: "A CPU of many words", slots: 2,
                threadsPerSlot: 1, isConnected: index % 2 == 0, isDraining: false, lastSeenAt: Date(), jobs: ["x"],
                iterationsPerSecond: 4)
        }
        return picture
    }

    /// More jobs and workers than fit the view.
    private var busy: ClusterPicture {
        var jobs = (1...4).map { job($0, .running) }
        jobs += (5...60).map { job($0, .queued) }
        jobs += (61...90).map { job($0, .finished) }
        jobs.append(job(91, .failed) { $0.reason = "bad\u{1B}[2J" })
        jobs.append(job(92, .held) { $0.resultName = "織機👩‍🔬\u{9B}x" })
        return picture(jobs, counts: [.queued: 9000])
    }

    @Test(arguments: [20, 80, 200], [8, 24, 60])
    func aPictureFitsItsTerminal(columns: Int, rows: Int) {
        for isUnicode in [true, false] {
            let lines = ClusterView(columns: columns, rows: rows, isUnicode: isUnicode, away: "gone").lines(busy)
            let drawn = lines.prefix(rows).map { $0.fitted(to: columns).text(paints: false) }
            #expect(lines.count <= rows)
            #expect(drawn.allSatisfy { $0.columns <= columns })
            #expect(!drawn.joined().unicodeScalars.contains { $0.isObeyed })
            #expect(isUnicode || drawn.joined().contains("#"), "a bar without blocks: \(drawn)")
            #expect(drawn.contains { $0.contains("job1") }, "what runs is there: \(drawn)")
        }
    }

    @Test func nothingHidesWhatWentWrong() {
        let lines = ClusterView(columns: 120, rows: 24, isUnicode: true).lines(busy).map { $0.text(paints: false) }
        #expect(
            lines[0].hasPrefix("2 workers, 4 slots, 8.00 it/s   9000 queued, 4 running, 30 finished, 1 failed, 1 held"))
        #expect(lines[1].hasSuffix(" 32 of 9036 ended, 2 h 1 min left"), "\(lines[1])")
        for expected in ["failed", "held", "gone since", "4.0 it/s", "l1 0.25", "3 min"] {
            #expect(lines.contains { $0.contains(expected) }, "\(expected) in \(lines)")
        }
        let last = lines.last ?? ""
        let shown = lines.count { $0.contains(" queued ") && $0.hasPrefix("0") }
        #expect(last.contains("\(9000 - shown) queued") && last.contains("finished or cancelled"), "\(lines)")
    }

    @Test func theSpeedOfAClusterIsInIterationsASecond() {
        var slow = busy
        slow.summary?.iterationsPerSecond = 0.3
        let lines = ClusterView(columns: 120, rows: 24, isUnicode: true).lines(slow).map { $0.text(paints: false) }
        #expect(lines[0].hasPrefix("2 workers, 4 slots, 0.30 it/s   "), "\(lines[0])")
    }

    @Test func someJobsOfAClusterAreCountedAlone() {
        let jobs = [job(1, .running), job(2, .queued), job(3, .finished)]
        var some = picture(jobs, counts: [.finished: 700, .queued: 90])
        some.isPart = true
        let lines = ClusterView(columns: 120, rows: 24, isUnicode: true).lines(some).map { $0.text(paints: false) }
        #expect(lines[0].hasSuffix("it/s   1 queued, 1 running, 1 finished"), "\(lines[0])")
        #expect(lines[1].hasSuffix(" 1 of 3 ended"), "the time left is the whole queue's: \(lines[1])")
        #expect(!lines.contains { $0.contains("... and") }, "\(lines)")
    }

    @Test func theLineOfATrainingFitsItsTerminal() {
        let (facts, losses) = (["4962/9000", "32.3 it/s", "2 min left"], "d 0.117 adv 5.77 l1 0.254 style 1.23e+04")
        for columns in 1...120 {
            let line = TrainingProgress.line(share: 0.55, facts, losses: losses, columns: columns)
            #expect(line.columns < max(2, columns), "\(columns): \(line)")
            #expect(columns < 42 || line.hasSuffix("2 min left"), "\(columns): \(line)")
            #expect(line.contains(losses) == (columns >= 84), "\(columns): \(line)")
        }
        let open = TrainingProgress.line(share: 0.55, facts, losses: losses, columns: nil)
        #expect(open.columns == 99 && open.hasSuffix("  \(losses)  2 min left"))
    }

    @Test func everySectionGetsItsShareOfTheLines() {
        #expect(ClusterView.share(10, among: [2, 0, 50, 50]) == [2, 0, 5, 3])
        #expect(ClusterView.share(100, among: [2, 1, 50, 20]) == [2, 1, 50, 20])
        #expect(ClusterView.share(2, among: [5, 5, 5, 5]) == [1, 1, 0, 0])
        #expect(ClusterView.share(-3, among: [5]) == [0])
    }

    @Test func whatIsKnownOfACclusterIsBounded() {
        var picture = ClusterPicture()
        for number in 1...1000 { picture.put(job(number, number <= 300 ? .running : .finished)) }
        picture.prune()
        #expect(picture.jobs(in: .running).count == 300, "what runs is never forgotten")
        #expect(picture.jobs(in: .finished).map(\.name).first == "job1000", "the last to end comes first")
        #expect(picture.jobs.count == 300 + ClusterPicture.maxPerState)
        #expect(picture.histories.count == picture.jobs.count)
        #expect(picture.put(job(1, .running)) == false && picture.put(job(1, .queued) { $0.priority = 5 }))
        #expect(picture.jobs(in: .running).count == 299)
    }

    private var detail: JobDetail {
        let running = job(7, .running) {
            $0.resultName = "bricks"
            $0.lossLatest = ["l1": 0.125, "style": 40, "quality_gram": 0.5]
        }
        return JobDetail(
            job: running, recipeYAML: "k: 8",
            attempts: [
                AttemptSummary(
                    number: 1, workerID: "a", worker: "victim", startIteration: 0, iteration: 120, startedAt: Date(),
                    endedAt: Date(), outcome: "lost", reason: "silent\nfor 20 s"),
                AttemptSummary(
                    number: 2, workerID: "b", worker: "heir", startIteration: 100, iteration: 300, startedAt: Date(),
                    endedAt: nil, outcome: nil, reason: nil),
            ], reportJSON: nil, trainingSeconds: nil)
    }

    @Test(arguments: [20, 80, 200], [8, 24, 60])
    func aWatchedJobFitsItsTerminal(columns: Int, rows: Int) {
        var history = LossHistory()
        for step in 1...300 {
            history.add(
                iteration: step, ["l1": 1 / Float(step), "style": Float(step), "quality_gram": 1, "gradient_l1": 2])
        }
        let log = (1...300).map {
            LogRecord(time: Date(), level: "info", process: "worker", message: "line \($0)", fields: [:])
        }
        let lines = JobScreen(columns: columns, isUnicode: true).screen(
            detail, history, log: log, rows: rows, away: nil)
        #expect(lines.count <= rows || rows == 8)
        let drawn = lines.prefix(rows).map { $0.fitted(to: columns).text(paints: false) }
        #expect(drawn.allSatisfy { $0.columns <= columns })
        #expect(drawn[0].hasPrefix("bricks") && drawn[1].contains("running"))
        guard rows >= 24, columns >= 80 else { return }
        #expect(drawn.contains { $0.contains("300/1000") } && drawn.contains { $0.contains("4.0 it/s") })
        #expect(drawn.contains { $0.contains("l1") && $0.contains("0.125") && $0.contains("█") }, "\(drawn)")
        #expect(drawn.last!.contains("line 300"))
        if rows == 60 {
            #expect(drawn.contains("quality") && drawn.contains { $0.hasPrefix("  gram  ") && $0.contains("0.5") })
            #expect(drawn.contains { $0.contains("1  lost, iterations 0 to 120, on victim") && $0.contains("\\n") })
        }
    }

    @Test func aFinishedJobShowsItsVerdict() {
        var finished = detail
        finished.reportJSON = #"{"verdict": "good", "quality": {}}"#
        let screen = JobScreen(columns: 80, isUnicode: true)
        #expect(screen.header(finished).map { $0.text(paints: false) }.contains { $0 == "  verdict    good" })
        #expect(!screen.header(detail).map { $0.text(paints: false) }.contains { $0.contains("verdict") })
    }

    /// The last snapshot and the upload follow the last iteration.
    @Test func aJobThatHasOnlyToFinishIsNotAtItsEnd() {
        let finishing = job(1, .running) {
            $0.iteration = 1000; $0.etaSeconds = 0
        }
        let finished = job(2, .finished) { $0.iteration = 1000 }
        let lines = JobTable(isUnicode: true).table([finishing, finished], showsIDs: true).lines()
            .map { $0.text(paints: false) }
        #expect(lines[1].contains(" 99%") && lines[1].contains("finishing") && !lines[1].contains("0 s"), "\(lines)")
        #expect(lines[2].contains("100%"))
    }

    @Test func oneWorkerIsOne() {
        let lines = ClusterView(columns: 120, rows: 24, isUnicode: true).lines(picture([job(1, .running)], workers: 1))
        #expect(lines[0].text(paints: false).hasPrefix("1 worker, 4 slots"))
    }
}
