import ClusterCore

/// Work on the product of a training, which waits until the training has finished.
public struct FollowUp: Codable, Sendable, Hashable {
    /// expand or export.
    public var kind: JobKind
    /// The options, as `texloom submit --then KIND:OPTIONS` takes them: "size=4096x4096,seamless=both". The coordinator
    /// refuses pictures that cannot be or are too large; the worker refuses other bad options.
    public var spec: String

    public init(kind: JobKind, spec: String) {
        self.kind = kind
        self.spec = spec
    }
}

/// A job that another one waits for, or that waits for another one.
public struct JobLink: Codable, Sendable, Equatable {
    public var id: String
    public var kind: JobKind
    public var resultName: String
    public var state: JobState

    public init(id: String, kind: JobKind, resultName: String, state: JobState) {
        self.id = id
        self.kind = kind
        self.resultName = resultName
        self.state = state
    }
}
