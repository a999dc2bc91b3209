import Base
import ClusterCore
import Crypto
import Foundation
import Hummingbird
import Protocol

/// The jobs of one request: each with the jobs that use its product behind it.
struct SubmissionRequest {
    static let maxFollowers = 16
    /// Lists and events repeat the spec. All options together are shorter.
    private static let maxSpecBytes = 1000
    /// What a client may ask for after a training.
    static let followingKinds: [JobKind] = [.expand, .export]

    /// In the order in which the cluster gets them.
    private(set) var submissions: [Submission] = []
    /// How many followers each submission of the request has.
    private var followers: [Int] = []

    /// Adds a submission and what its request wants done with the product.
    /// - Parameter needs: What a follow-up needs of its worker.
    /// - Throws: `Problem` (422) for follow-ups that nothing does, or for which `needs` throws.
    mutating func add(
        _ submission: Submission, _ job: JobSubmission, at index: Int, needs: (FollowUp) throws -> JobNeeds
    ) throws {
        let place = submissions.count
        submissions.append(submission)
        let wanted = job.then ?? []
        let require = RequestCheck(place: "jobs[\(index)].then")
        try require(
            wanted.count <= Self.maxFollowers, " has \(wanted.count) jobs; expected at most \(Self.maxFollowers)")
        for (number, followUp) in wanted.enumerated() {
            let kinds = Self.followingKinds.map(\.rawValue).joined(separator: " or ")
            try require(
                Self.followingKinds.contains(followUp.kind),
                "[\(number)].kind is '\(followUp.kind.rawValue.prefix(64))'; expected \(kinds)")
            try require(
                (1...Self.maxSpecBytes).contains(followUp.spec.utf8.count) && !followUp.spec.utf8.contains(0),
                "[\(number)].spec has \(followUp.spec.utf8.count) bytes; expected 1...\(Self.maxSpecBytes) without U+0000"
            )
            do {
                submissions.append(follower(followUp, of: submission, at: place, needs: try needs(followUp)))
            } catch {
                try require(false, "[\(number)]: \(error)")
            }
        }
        followers.append(wanted.count)
    }

    private func follower(
        _ followUp: FollowUp, of source: Submission, at place: Int, needs: JobNeeds
    ) -> Submission {
        // Repeating the submission returns the same followers.
        let key = source.key.map { key in
            hexadecimal(SHA256.hash(data: Data("\(key)\n\(followUp.kind)\n\(followUp.spec)".utf8)))
        }
        let suffix = "-\(followUp.kind)"
        return Submission(
            kind: followUp.kind,
            name: source.name.shortened(to: JobSubmission.maxNameBytes - suffix.utf8.count) + suffix,
            inputs: source.inputs.filter {
                $0.name == JobInput.exemplar
                    || $0.map != nil && WorkContract.table[followUp.kind]?.takesMaps == true
            },
            awaited: [Submission.Awaited(name: JobInput.generator, source: .submission(place), role: .generator)],
            spec: followUp.spec, needs: needs, priority: source.priority, key: key, tags: source.tags)
    }

    /// - Parameter accepted: The answers to ``submissions``.
    /// - Returns: The answers to the request's own jobs, each with its followers.
    func grouped(_ accepted: [AcceptedJob]) -> [AcceptedJob] {
        var rest = accepted[...]
        return followers.map { count in
            var job = rest.removeFirst()
            if count > 0 { job.followers = Array(rest.prefix(count)) }
            rest = rest.dropFirst(count)
            return job
        }
    }
}
