import ArgumentParser
import ClusterCore
import Foundation
import Protocol
import TextureGAN

struct ContinueCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "continue", abstract: "Trains a finished job for longer, as a new job.",
        discussion: """
            The new job begins at the finished job's last checkpoint and ends at the given number of iterations in all. \
            The finished job stays as it is. Workers must be of this version.

            With constant_share=1 the result has the bytes of a training that had so many iterations from the start. \
            Otherwise the learning rate falls over the last part of the iterations: it has fallen once, and then starts \
            again where the longer recipe says, so the result is that of another training.

              texloom continue bricks --iterations 20000
            """)

    @Argument(help: "The finished job's id or name.")
    var job: String

    @Option(name: .shortAndLong, help: "How many iterations the training has in all, more than the finished job's.")
    var iterations: Int

    @Option(help: "What to call the new job. Default: NAME-to-ITERATIONS.")
    var name: String?

    @Option(help: "Puts the new job into the batch of this name.")
    var batch: String?

    @Option(
        name: .customLong("label"),
        help: ArgumentHelp("Gives the new job a label; may be repeated.", valueName: "key=value"))
    var labels: [String] = []

    @Option(help: "Higher runs first, -100 to 100.")
    var priority = 0

    @OptionGroup var client: ClientOptions

    func validate() throws {
        try JobName.validate(name)
        _ = try JobTags(batch: batch, labels: labels)
        try requirePriority(priority)
    }

    func run() async throws {
        let api = try client.client()
        let tags = try JobTags(batch: batch, labels: labels)
        let source = try await api.job(job)
        let detail = try await api.get("/api/v1/jobs/\(source.id)", as: JobDetail.self)
        var recipe = try Recipe(yaml: detail.recipeYAML, source: "the recipe of \(source.resultName)")
        guard source.state == .finished else {
            throw CommandFailure(
                "\(source.resultName.printable) is \(source.state.rawValue); only a finished job can be continued")
        }
        guard iterations > recipe.iterations else {
            throw CommandFailure(
                "--iterations \(iterations): \(source.resultName.printable) has \(recipe.iterations) already; expected more",
                exit: .usage)
        }
        try recipe.apply(["iterations=\(iterations)"])
        let submission = JobSubmission(
            name: name ?? JobName.shortened(source.name, suffix: "-to-\(iterations)"), fileName: source.fileName,
            exemplarSHA256: source.exemplarSHA256, recipeYAML: recipe.yaml(), priority: priority, once: true,
            batch: tags.batch, labels: tags.labels.isEmpty ? nil : tags.labels, continues: source.id,
            maps: detail.maps)
        let answer = try await api.post(
            "/api/v1/jobs", body: SubmitJobsRequest(jobs: [submission]), as: SubmitJobsResponse.self)
        guard let accepted = answer.jobs.first else { throw CommandFailure("the coordinator accepted nothing") }
        if client.json { return try sayJSON(accepted) }
        let known = accepted.alreadyExisted ? "  (was submitted before)" : ""
        say(
            "accepted  \(source.resultName.printable) from iteration \(source.iteration) as \(accepted.id) "
                + "(\(accepted.resultName.printable))\(known)")
        if let obstacle = accepted.obstacle { say("          \(obstacle.printable)") }
    }
}
