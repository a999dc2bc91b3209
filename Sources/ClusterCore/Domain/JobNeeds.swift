/// What a job needs from a worker, as far as the client that submits it knows. A worker that lacks any of it does not
/// get the job.
public struct JobNeeds: Codable, Sendable, Hashable {
    public static let maxWeights = 8
    public static let maxMemoryBytes = 1 << 50

    /// Names of pretrained weights as workers announce them ("vgg19"), sorted.
    public var weights: [String]
    /// Memory in the slot that runs the job, in bytes; 0: unknown.
    public var memoryBytes: Int

    public init(weights: [String] = [], memoryBytes: Int = 0) {
        self.weights = Set(weights).sorted()
        self.memoryBytes = memoryBytes
    }

    /// What meets these needs and others.
    package func joined(with other: JobNeeds) -> JobNeeds {
        JobNeeds(weights: weights + other.weights, memoryBytes: max(memoryBytes, other.memoryBytes))
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            weights: try container.decodeIfPresent([String].self, forKey: .weights) ?? [],
            memoryBytes: try container.decodeIfPresent(Int.self, forKey: .memoryBytes) ?? 0)
    }
}
