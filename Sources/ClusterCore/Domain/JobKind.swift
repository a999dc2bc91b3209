/// A kind of work. The cluster schedules, leases and stores every kind alike; what differs is in its ``WorkContract``.
public struct JobKind: RawRepresentable, Hashable, Codable, Sendable, CustomStringConvertible {
    /// 1 to ``Limits/maxIdentifierBytes`` characters of an ``Identifier``.
    public let rawValue: String

    public init(rawValue: String) { self.rawValue = rawValue }

    public var description: String { rawValue }

    /// Trains a generator for one exemplar. Its spec is a recipe in YAML.
    public static let train = JobKind(rawValue: "train")
}

/// What the cluster has to know about a kind of work.
package struct WorkContract: Sendable, Equatable {
    /// The names of the inputs that a submission must have.
    package var inputs: Set<String>
    /// The products that must be stored before the coordinator accepts FINISH.
    package var products: Set<ArtifactRole>

    /// Every kind that this software schedules. A new kind needs an entry here, a runner in the worker, and nothing
    /// else in the cluster.
    package static let table: [JobKind: WorkContract] = [
        .train: WorkContract(inputs: [JobInput.exemplar], products: [.generator, .discriminator, .checkpoint])
    ]
}

/// A file that a job starts from.
package struct JobInput: Sendable, Hashable {
    /// The name of a training's photograph.
    package static let exemplar = "exemplar"

    /// What the file is to the job; unique within the job.
    package var name: String
    package var artifact: Artifact
    /// The file's name as the user knows it, for messages.
    package var fileName: String

    package init(name: String, artifact: Artifact, fileName: String) {
        self.name = name
        self.artifact = artifact
        self.fileName = fileName
    }
}

/// What a job demands of a worker.
package struct Demand: Sendable, Hashable {
    package var kind = JobKind.train
    package var needs = JobNeeds()
}
