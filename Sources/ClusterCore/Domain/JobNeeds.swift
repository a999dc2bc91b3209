/// What a job needs of a worker, as far as whoever submits it knows: no worker that lacks something of it gets the job.
public struct JobNeeds: Codable, Sendable, Hashable {
    public static let maxWeights = 8
    public static let maxMemoryBytes = 1 << 50

    /// Names of pretrained weights as workers announce them ("vgg19"), sorted.
    public var weights: [String]
    /// Of each slot, in bytes; 0: not known.
    public var memoryBytes: Int

    public init(weights: [String] = [], memoryBytes: Int = 0) {
        self.weights = Set(weights).sorted()
        self.memoryBytes = memoryBytes
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            weights: try container.decodeIfPresent([String].self, forKey: .weights) ?? [],
            memoryBytes: try container.decodeIfPresent(Int.self, forKey: .memoryBytes) ?? 0)
    }
}
