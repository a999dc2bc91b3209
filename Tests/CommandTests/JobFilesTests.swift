import Crypto
import Foundation
import NNCore
import Protocol
import Testing

@testable import ClusterCore
@testable import texloom

/// What gathering leaves in a folder, with a coordinator that answers from files.
@Suite struct JobFilesTests {
    private let scratch: ScratchFolder
    private let server: PythonServer

    init() throws {
        scratch = try ScratchFolder()
        let script = """
            import http.server, os, sys
            class Coordinator(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    name = self.path.split("?")[0].strip("/").replace("/", "_")
                    body = open(os.path.join(sys.argv[1], name), "rb").read()
                    self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
                    self.wfile.write(body)
            server = http.server.HTTPServer(("127.0.0.1", 0), Coordinator)
            print(server.server_port, flush=True)
            server.serve_forever()
            """
        try FileManager.default.createDirectory(atPath: scratch.path("answers"), withIntermediateDirectories: false)
        server = try PythonServer(script, scratch.path("answers"))
    }

    /// Makes the coordinator know a job with these artifacts alone.
    private func serve(
        _ kind: JobKind, state: JobState = .finished, recipe: String = "draft", report: String? = nil,
        _ artifacts: [(role: ArtifactRole, iteration: Int)]
    ) throws -> JobFiles {
        let job = JobSummary(
            id: "0000000001", kind: kind, name: "pebbles", resultName: "pebbles", fileName: "pebbles.png",
            recipe: recipe, state: state, priority: 0, iteration: 9000, totalIterations: 9000, secondsPerIteration: nil,
            etaSeconds: nil, attempt: 1, failures: 0, worker: nil, reason: nil, exemplarSHA256: "", latestSnapshot: nil,
            latestSnapshotIteration: nil, submittedAt: Date(), startedAt: nil, finishedAt: nil, lossLatest: [:])
        func answer(_ path: String, _ body: Data) throws {
            let name = "api_v1_\(path)".replacing("/", with: "_")
            try body.write(to: URL(fileURLWithPath: scratch.path("answers/\(name)")))
        }
        func answer(_ path: String, _ body: some Encodable) throws {
            try answer(path, try APIFormat.encoder.encode(body))
        }
        var summaries: [ArtifactSummary] = []
        for (role, iteration) in artifacts {
            let bytes = Data("\(role) \(iteration)".utf8)
            let digest = SHA256.hash(data: bytes).map { String(format: "%02x", $0) }.joined()
            try answer("artifacts/\(digest)", bytes)
            summaries.append(
                ArtifactSummary(
                    role: role, iteration: iteration, sha256: digest, sizeBytes: bytes.count, createdAt: Date()))
        }
        try answer(
            "jobs/\(job.id)",
            JobDetail(job: job, recipeYAML: recipe, attempts: [], reportJSON: report, trainingSeconds: nil))
        try answer("jobs/\(job.id)/artifacts", ArtifactList(artifacts: summaries))
        try answer("jobs/\(job.id)/metrics", MetricsPage(rows: [], next: nil))
        try answer("jobs/\(job.id)/logs", LogPage(entries: [], next: nil))
        return JobFiles(api: try APIClient(address: server.address), job: job, licence: nil)
    }

    private func listed(_ folder: ResultFolder) -> [String] { ResultManifest.files(in: folder.url).map(\.path) }

    /// The coordinator has dropped the job's checkpoint. An earlier gathering, or a local training, has left one.
    @Test(
        arguments: [
            (5000, JobState.finished, false), (9000, JobState.finished, true), (5000, JobState.cancelled, true),
        ])
    func aCheckpointOfAnEarlierIterationIsNotTheResults(iteration: Int, state: JobState, stays: Bool) async throws {
        let files = try serve(.train, state: state, [(.generator, 9000), (.discriminator, 9000)])
        let folder = try ResultFolder(in: scratch.url, name: "pebbles")
        var writer = SafetensorsWriter(metadata: ["iteration": "\(iteration)"], hasChecksum: true)
        writer.add("history", shape: [1]) { [Float(0)] }
        try writer.write(to: folder.checkpoint)
        #expect(try await files.gatherTraining(into: folder) == 2)
        #expect(FileManager.default.fileExists(atPath: folder.checkpoint.path) == stays)
        #expect(listed(folder).contains("last_checkpoint.safetensors") == stays)
        let result = try? String(contentsOf: folder.resultJSON, encoding: .utf8)
        #expect((result != nil) == (state == .finished))
        #expect(result.map { $0.contains("last_checkpoint.safetensors") == stays } ?? true)
    }

    @Test func whatAKilledProcessHasLeftIsNotListed() async throws {
        let files = try serve(.train, [(.generator, 9000), (.discriminator, 9000), (.snapshot, 9000)])
        let folder = try ResultFolder(in: scratch.url, name: "pebbles")
        for parent in [folder.url, folder.images] {
            try Data([1]).write(to: parent.appendingPathComponent(".texloom-1-2.partial"))
        }
        _ = try await files.gatherTraining(into: folder)
        #expect(listed(folder).contains("img/itr00009000.png"))
        #expect(!listed(folder).contains { $0.contains("partial") }, "\(listed(folder))")
    }

    /// - Parameter report: Of a photograph, and of a material, whose maps have a folder.
    @Test(arguments: [nil, #"{"pictures": [{"map": "albedo"}]}"#])
    func aProductUnderAnEarlierNameIsRenamed(report: String?) async throws {
        let files = try serve(
            .expand, recipe: "times=1,seamless=both", report: report,
            [(.picture, 1)] + (report == nil ? [] : [(.material, 1)]))
        let folder = ResultFolder(named: "pebbles-expand", in: scratch.url)
        func names() throws -> [String] {
            try FileManager.default.subpathsOfDirectory(atPath: folder.url.path).sorted()
        }
        let count = report == nil ? 1 : 2
        #expect(try await files.gatherProducts(into: folder) == count)
        let now = try names()
        let products = listed(folder).filter { $0.contains("pebbles") }
        #expect(products.count == count && products.allSatisfy { $0.hasPrefix("pebbles_2x_tile") }, "\(now)")

        // An earlier release left the tile out of the names.
        func makeEarlier() throws {
            for name in products {
                let earlier = folder.url.appendingPathComponent(name.replacing("_tile", with: ""))
                try folder.create(earlier.deletingLastPathComponent())
                try FileManager.default.moveItem(at: folder.url.appendingPathComponent(name), to: earlier)
            }
            let manifest = ResultManifest.url(in: folder.url)
            let text = try String(contentsOf: manifest, encoding: .utf8)
            try Data(text.replacing("_tile", with: "").utf8).write(to: manifest)
        }
        try makeEarlier()
        #expect(try await files.gatherProducts(into: folder) == 0)
        #expect(try names() == now)

        // What a person has changed is the person's.
        try makeEarlier()
        let changed = folder.url.appendingPathComponent(products[0].replacing("_tile", with: ""))
        try Data("brighter".utf8).write(to: changed)
        #expect(try await files.gatherProducts(into: folder) == 1)
        #expect(try String(contentsOf: changed, encoding: .utf8) == "brighter")
        #expect(try names().filter { now.contains($0) } == now)
    }
}
