import ClusterCore

/// Body of `POST /api/v1/jobs`: one or more jobs. The coordinator accepts all of them or none.
public struct SubmitJobsRequest: Codable, Sendable, Equatable {
    public var jobs: [JobSubmission]

    public init(jobs: [JobSubmission]) { self.jobs = jobs }
}

/// One job to accept. Send its exemplar to `POST /api/v1/exemplars` first.
public struct JobSubmission: Codable, Sendable, Equatable {
    /// The priorities that a job may have.
    public static let priorities = -100...100

    /// The longest name and key of a job, in bytes of UTF-8.
    public static let maxNameBytes = 200

    /// What people call the texture, 1 to ``maxNameBytes`` bytes. Need not be unique.
    public var name: String
    /// The exemplar's file name as the user knows it, for messages.
    public var fileName: String
    /// The exemplar's digest as returned by `POST /api/v1/exemplars`: 64 lower-case hexadecimal digits.
    public var exemplarSHA256: String
    /// The maps of a material; absent for a photograph. The albedo is one of them and the exemplar; `fileName` is then the
    /// material's name. Send the files to `POST /api/v1/exemplars` first, too.
    public var maps: [MapFile]?
    /// The complete recipe. The coordinator stores it without checking it; the worker refuses a bad one.
    public var recipeYAML: String
    /// Higher runs first, one of ``priorities``; absent: 0.
    public var priority: Int?
    /// Makes the submission repeatable: a second submission with this key returns the first one's job. At most
    /// ``maxNameBytes`` bytes.
    public var key: String?
    /// Makes the submission repeatable without a key: a second submission with the same name, batch, exemplar and
    /// recipe values returns the first one's job. Not together with a key.
    public var once: Bool?
    /// Absent: what the coordinator computes from the recipe and the exemplar's size.
    public var needs: JobNeeds?
    /// The batch that the job belongs to; absent: none.
    public var batch: String?
    /// By key; absent: none. A repeated submission changes neither the batch nor the labels of its job.
    public var labels: [String: String]?
    /// The id of a finished job with the same exemplar, and with a recipe that differs only in fewer iterations. The new
    /// job begins at that job's last checkpoint.
    public var continues: String?

    /// Jobs that use the trained generator. They wait until it is there. If the submission is repeated, so are they: those
    /// that exist are returned, the others are added.
    public var then: [FollowUp]?

    public init(
        name: String, fileName: String, exemplarSHA256: String, recipeYAML: String, priority: Int? = nil,
        key: String? = nil, once: Bool? = nil, needs: JobNeeds? = nil, batch: String? = nil,
        labels: [String: String]? = nil, continues: String? = nil, then: [FollowUp]? = nil, maps: [MapFile]? = nil
    ) {
        self.name = name
        self.fileName = fileName
        self.exemplarSHA256 = exemplarSHA256
        self.recipeYAML = recipeYAML
        self.priority = priority
        self.key = key
        self.once = once
        self.needs = needs
        self.batch = batch
        self.labels = labels
        self.continues = continues
        self.then = then
        self.maps = maps
    }
}

/// A file of a material.
public struct MapFile: Codable, Sendable, Hashable {
    /// Which map or maps it contains, as `texloom train --map` calls them: albedo, normal-gl, orm, ...
    public var map: String
    /// The file's name as the user knows it.
    public var fileName: String
    /// 64 lower-case hexadecimal digits.
    public var sha256: String

    public init(map: String, fileName: String, sha256: String) {
        self.map = map
        self.fileName = fileName
        self.sha256 = sha256
    }
}

/// Answer of `POST /api/v1/jobs`, in the order of the request.
public struct SubmitJobsResponse: Codable, Sendable, Equatable {
    public var jobs: [AcceptedJob]

    public init(jobs: [AcceptedJob]) { self.jobs = jobs }
}

/// A job that is on disk: it will be trained whatever happens to the coordinator's process.
public struct AcceptedJob: Codable, Sendable, Equatable {
    public var id: String
    public var name: String
    /// The name of the gathered folder, unique in this coordinator: `{resultName}_result`.
    public var resultName: String
    public var state: JobState
    /// Whether the job existed before this submission.
    public var alreadyExisted: Bool
    /// Why no connected worker can run the job; nil if one can, or if none is connected.
    public var obstacle: String?
    /// Taken from jobs of the same recipe, whatever their seeds and exemplars; nil if there are none, or if the job
    /// already existed.
    public var expected: ExpectedTime?
    /// The jobs of ``JobSubmission/then``, in its order; nil if there are none.
    public var followers: [AcceptedJob]?

    public init(
        id: String, name: String, resultName: String, state: JobState, alreadyExisted: Bool, obstacle: String? = nil,
        expected: ExpectedTime? = nil, followers: [AcceptedJob]? = nil
    ) {
        self.id = id
        self.name = name
        self.resultName = resultName
        self.state = state
        self.alreadyExisted = alreadyExisted
        self.obstacle = obstacle
        self.expected = expected
        self.followers = followers
    }
}

/// Answer of `POST /api/v1/exemplars`: the image is stored and decodes.
public struct ExemplarReceipt: Codable, Sendable, Equatable {
    public var sha256: String
    public var sizeBytes: Int
    /// In pixels.
    public var width: Int
    public var height: Int

    public init(sha256: String, sizeBytes: Int, width: Int, height: Int) {
        self.sha256 = sha256
        self.sizeBytes = sizeBytes
        self.width = width
        self.height = height
    }
}
