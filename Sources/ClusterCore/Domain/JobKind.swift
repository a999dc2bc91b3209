/// A kind of work. The cluster schedules, leases and stores every kind alike; what differs is in its ``WorkContract``.
public struct JobKind: RawRepresentable, Hashable, Codable, Sendable, CustomStringConvertible {
    /// 1 to ``Limits/maxIdentifierBytes`` characters of an ``Identifier``.
    public let rawValue: String

    public init(rawValue: String) { self.rawValue = rawValue }

    public var description: String { rawValue }

    /// Trains a generator for one exemplar. Its spec is a recipe in YAML.
    public static let train = JobKind(rawValue: "train")
    /// Makes pictures with a trained generator. Its spec has the options of `texloom expand`: "size=4096x4096,seamless=both".
    public static let expand = JobKind(rawValue: "expand")
    /// Writes a trained generator for other programs. Its spec has the options of `texloom export`: "format=onnx".
    public static let export = JobKind(rawValue: "export")

    /// The same work on a material, whose exemplar is several maps. Only workers that announce it get such jobs; a job's
    /// own kind has no such ending.
    package var onMaterials: JobKind { JobKind(rawValue: rawValue + Self.endOfMaterials) }

    /// The kind in words, of a job or as a worker announces it.
    package var words: String {
        guard rawValue.hasSuffix(Self.endOfMaterials) else { return "work of the kind '\(rawValue)'" }
        return "work of the kind '\(rawValue.dropLast(Self.endOfMaterials.count))' on materials"
    }

    private static let endOfMaterials = ".maps"
}

/// What the cluster has to know about a kind of work.
package struct WorkContract: Sendable, Equatable {
    /// The names of the inputs that a submission must have.
    package var inputs: Set<String>
    /// The products that must be stored before the coordinator accepts FINISH.
    package var products: Set<ArtifactRole>
    /// Whether the exemplar may be a material: then there is an input for each of its maps.
    package var takesMaps = false

    /// Every kind that this software schedules. A new kind needs an entry here, a runner in the worker, and nothing
    /// else in the cluster.
    package static let table: [JobKind: WorkContract] = [
        .train: WorkContract(
            inputs: [JobInput.exemplar], products: [.generator, .discriminator, .checkpoint], takesMaps: true),
        .expand: WorkContract(
            inputs: [JobInput.exemplar, JobInput.generator], products: [.picture], takesMaps: true),
        // People know an exported generator by its exemplar.
        .export: WorkContract(inputs: [JobInput.exemplar, JobInput.generator], products: [.model]),
    ]
}

/// A file that a job starts from.
package struct JobInput: Sendable, Hashable {
    /// The name of a training's photograph, or of a material's albedo.
    package static let exemplar = "exemplar"
    /// Begins the names of a material's maps: "map.normal-gl". The albedo is among them, with its own file name; the
    /// exemplar's file name is the material's.
    package static let mapPrefix = "map."
    /// The name of the trained network that later work uses.
    package static let generator = "generator"
    /// What a person does about an input that another job has made and whose file is gone. Equal recipes give equal bytes,
    /// and a job has its own reference to the file.
    package static let remedyForProduct =
        "restore it from a copy, or delete the job that made it and submit that again, which makes the same file"

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

    /// Which map of a material the file is, as its submission calls it; nil for any other input.
    package var map: String? {
        name.hasPrefix(Self.mapPrefix) ? String(name.dropFirst(Self.mapPrefix.count)) : nil
    }

    /// What to call the input in messages.
    package var title: String { map.map { "map \($0)" } ?? name }
}

/// An input that another job makes.
package struct AwaitedInput: Sendable, Hashable {
    /// What the file is to the job; unique within the job.
    package var name: String
    package var job: JobID
    /// Which product of that job.
    package var role: ArtifactRole

    package init(name: String, job: JobID, role: ArtifactRole) {
        self.name = name
        self.job = job
        self.role = role
    }
}

/// What a job demands of a worker.
package struct Demand: Sendable, Hashable {
    package var kind = JobKind.train
    package var needs = JobNeeds()
}
