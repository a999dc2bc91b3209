import Foundation
import Protocol
import Testing

@testable import texloom

@Suite struct ContinueTests {
    @Test func aFinishedJobIsTrainedForLongerWithTheBytesOfALongTraining() async throws {
        let cluster = try TinyCluster()
        let exemplar = try cluster.writeExemplar("moss.png", seed: 1)
        let constant = ["--set", "constant_share=1"]
        #expect(try cluster.run(["submit", exemplar] + TinyCluster.recipe(iterations: 30) + constant).status == 0)
        let early = try cluster.run(["continue", "moss", "--iterations", "60"])
        #expect(early.status == 1 && early.errors.contains("only a finished job"), "\(early.errors)")
        #expect(
            try cluster.run(
                ["submit", exemplar, "--name", "whole"] + TinyCluster.recipe(iterations: 60) + constant
            ).status == 0)
        try cluster.startWorker("one")
        #expect(try cluster.run(["watch", "--interval", "0.2"]).status == 0)

        let fewer = try cluster.run(["continue", "moss", "--iterations", "30"])
        #expect(fewer.status == 2 && fewer.errors.contains("has 30 already"), "\(fewer.errors)")
        let arguments = ["continue", "moss", "-i", "60", "--batch", "longer", "--label", "from=moss"]
        let accepted = try cluster.run(arguments)
        #expect(
            accepted.output.contains("moss from iteration 30") && accepted.output.contains("(moss-to-60)"),
            "\(accepted.errors)")
        #expect(try cluster.run(arguments).output.contains("was submitted before"))
        // What it begins from is its own.
        #expect(try cluster.run(["delete", "moss"]).status == 0)
        #expect(try cluster.jobs().map(\.resultName).sorted() == ["moss-to-60", "whole"])
        #expect(try cluster.run(["watch", "--batch", "longer", "--interval", "0.2"]).status == 0)

        let api = try APIClient(address: cluster.address)
        func digests(_ name: String) async throws -> [String: String] {
            let job = try await api.job(name)
            #expect(job.state == .finished && job.iteration == 60)
            let list = try await api.get("/api/v1/jobs/\(job.id)/artifacts", as: ArtifactList.self).artifacts
            return Dictionary(
                list.filter { $0.role != .checkpoint && $0.role != .snapshot }.map { ($0.role.rawValue, $0.sha256) },
                uniquingKeysWith: { $1 })
        }
        #expect(try await digests("moss-to-60") == digests("whole"))
        let id = try await api.job("moss-to-60").id
        let rows = try await api.get("/api/v1/jobs/\(id)/metrics", as: MetricsPage.self).rows
        #expect(rows.map(\.iteration).contains(5) && rows.map(\.iteration).contains(60), "the curve is whole")
        let detail = try await api.get("/api/v1/jobs/\(id)", as: JobDetail.self)
        #expect(detail.attempts.map(\.startIteration) == [30] && detail.job.labels == ["from": "moss"])
    }
}
