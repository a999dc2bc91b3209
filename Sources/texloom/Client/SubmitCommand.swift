import ArgumentParser
import Crypto
import Foundation
import Imaging
import Protocol
import TextureGAN

struct SubmitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "submit", abstract: "Gives exemplars to the coordinator, one job each.",
        discussion: """
            Takes files, folders (every image in them, told by content) and patterns ('photos/*.jpg'). Each file is
            accepted or refused with a reason; none is skipped silently. Submitting the same exemplar with the same
            recipe again returns the job that is there: equal recipes give equal generators, so use --set seed=N for
            another variation.
            """)

    @Argument(help: "Files, folders or patterns.", completion: .file())
    var paths: [String]

    @OptionGroup var recipeOptions: RecipeOptions

    @Option(help: "What to call the job, for a single file. Default: the file's name without its extension.")
    var name: String?

    @Option(help: "Higher runs first, -100 to 100.")
    var priority = 0

    @OptionGroup var client: ClientOptions

    /// What became of one file.
    private struct Outcome: Encodable {
        var file: String
        var accepted: Bool
        var job: String?
        var resultName: String?
        var alreadyExisted: Bool?
        var state: JobState?
        var reason: String?
        var obstacle: String?
    }

    func validate() throws {
        guard (-100...100).contains(priority) else {
            throw ValidationError("--priority \(priority): expected -100 to 100")
        }
    }

    func run() async throws {
        let recipe = try recipeOptions.resolve()
        let api = try client.client()
        var outcomes: [Outcome] = []
        let candidates = try ExemplarFiles.collect(paths)
        if name != nil, candidates.count > 1 {
            throw CommandFailure("--name goes with a single file; there are \(candidates.count)", exit: .usage)
        }
        for candidate in candidates {
            let outcome: Outcome
            switch candidate {
            case .refused(let file, let reason): outcome = Outcome(file: file, accepted: false, reason: reason)
            case .file(let file): outcome = try await submit(file, recipe, to: api)
            }
            outcomes.append(outcome)
            if !client.json { say(describe(outcome)) }
        }
        if client.json { try sayJSON(outcomes) }
        let refused = outcomes.filter { !$0.accepted }.count
        if !client.json, outcomes.count > 1 { say("\(outcomes.count - refused) accepted, \(refused) refused") }
        if refused > 0 { throw ExitCode(CommandExit.failed.rawValue) }
    }

    private func submit(_ file: String, _ recipe: Recipe, to api: APIClient) async throws -> Outcome {
        let url = URL(fileURLWithPath: file)
        do {
            let data = try Image.bytes(of: url)
            let header = try Image.header(of: data, name: file)
            _ = try recipe.cropSize(forWidth: header.width, height: header.height, exemplar: file)
            let receipt = try await api.upload(data, to: "/api/v1/exemplars", as: ExemplarReceipt.self)
            let name = self.name ?? url.deletingPathExtension().lastPathComponent
            let key = hexadecimal(SHA256.hash(data: Data("\(name)\n\(receipt.sha256)\n\(recipe.yaml())".utf8)))
            let submission = JobSubmission(
                name: name, fileName: url.lastPathComponent, exemplarSHA256: receipt.sha256, recipeYAML: recipe.yaml(),
                priority: priority, key: key,
                needs: try JobNeeds(of: recipe, width: header.width, height: header.height, exemplar: file))
            let answer = try await api.post(
                "/api/v1/jobs", body: SubmitJobsRequest(jobs: [submission]), as: SubmitJobsResponse.self)
            guard let job = answer.jobs.first else { throw CommandFailure("the coordinator accepted nothing") }
            return Outcome(
                file: file, accepted: true, job: job.id, resultName: job.resultName, alreadyExisted: job.alreadyExisted,
                state: job.state, obstacle: job.obstacle)
        } catch let failure as CommandFailure where failure.exitCode == .tryAgain {
            throw failure
        } catch let failure as CommandFailure {
            return Outcome(file: file, accepted: false, reason: failure.message)
        } catch {
            return Outcome(file: file, accepted: false, reason: "\(error)")
        }
    }

    private func describe(_ outcome: Outcome) -> String {
        guard outcome.accepted else { return "refused   \(outcome.file): \(outcome.reason ?? "")" }
        var known = outcome.alreadyExisted == true ? "  (was submitted before)" : ""
        if let state = outcome.state, state.canBeRetried {
            known =
                "  (was submitted before and is \(state.rawValue): 'texloom retry \(outcome.job ?? "")' runs it again)"
        }
        let obstacle = outcome.obstacle.map { "\n          \($0)" } ?? ""
        return "accepted  \(outcome.file) as \(outcome.job ?? "") (\(outcome.resultName ?? ""))\(known)\(obstacle)"
    }
}

/// Finds exemplars in files, folders and patterns.
enum ExemplarFiles {
    enum Candidate: Equatable {
        case file(String)
        case refused(String, reason: String)
    }

    /// In order, without doubles. What is named and not there is refused; what lies in a folder and is not an image is
    /// refused as well, but for hidden files.
    static func collect(_ paths: [String]) throws -> [Candidate] {
        var result: [Candidate] = []
        var seen: Set<String> = []
        func add(_ path: String) {
            if seen.insert(URL(fileURLWithPath: path).standardizedFileURL.path).inserted { result.append(.file(path)) }
        }
        for path in paths {
            var isFolder: ObjCBool = false
            if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) {
                if isFolder.boolValue {
                    guard let all = try? FileManager.default.contentsOfDirectory(atPath: path) else {
                        result.append(.refused(path, reason: "the folder cannot be read"))
                        continue
                    }
                    let names = all.filter { !$0.hasPrefix(".") }
                    if names.isEmpty { result.append(.refused(path, reason: "the folder is empty")) }
                    for name in names.sorted() {
                        let file = (path as NSString).appendingPathComponent(name)
                        var isInner: ObjCBool = false
                        if FileManager.default.fileExists(atPath: file, isDirectory: &isInner), isInner.boolValue {
                            result.append(.refused(file, reason: "is a folder; name it to submit what is in it"))
                        } else {
                            add(file)
                        }
                    }
                } else {
                    add(path)
                }
            } else {
                let matches = expand(pattern: path)
                if matches.isEmpty { result.append(.refused(path, reason: "there is no such file")) }
                matches.forEach(add)
            }
        }
        return result
    }

    private static func expand(pattern: String) -> [String] {
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(pattern, 0, nil, &found) == 0 else { return [] }
        return (0..<Int(found.gl_pathc)).compactMap { found.gl_pathv[$0].map { String(cString: $0) } }
    }
}
