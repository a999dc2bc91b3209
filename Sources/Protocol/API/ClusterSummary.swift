import Foundation

/// Answer of `GET /api/v1/summary`.
public struct ClusterSummary: CountsJobs, Codable, Sendable, Equatable {
    public var version: String
    public var coordinatorID: String
    public var startedAt: Date
    /// The address to which workers connect, as bound.
    public var workerEndpoint: String
    /// The number of jobs by `JobState` name, with an entry for every state.
    public var jobs: [String: Int]
    public var workersConnected: Int
    public var slots: Int
    /// Slots that further workers could fill at once: the queued jobs beyond the free slots that can run them.
    public var slotsWanted: Int
    /// Training speed of all running jobs together.
    public var iterationsPerSecond: Double
    /// Seconds until all queued and running jobs are done, at the speed of the slots that are connected now. Nil
    /// without slots. Also nil while a queued recipe has never run, because its length is unknown.
    public var queueSeconds: Double?

    public init(
        version: String, coordinatorID: String, startedAt: Date, workerEndpoint: String,
        jobs: [String: Int], workersConnected: Int, slots: Int, slotsWanted: Int, iterationsPerSecond: Double,
        queueSeconds: Double?
    ) {
        self.version = version
        self.coordinatorID = coordinatorID
        self.startedAt = startedAt
        self.workerEndpoint = workerEndpoint
        self.jobs = jobs
        self.workersConnected = workersConnected
        self.slots = slots
        self.slotsWanted = slotsWanted
        self.iterationsPerSecond = iterationsPerSecond
        self.queueSeconds = queueSeconds
    }
}

/// A worker that has said HELLO at least once.
public struct WorkerSummary: Codable, Sendable, Equatable {
    public var id: String
    public var name: String
    public var softwareVersion: String
    public var cpu: String
    public var slots: Int
    public var threadsPerSlot: Int
    public var isConnected: Bool
    /// Whether the coordinator gives it no more work and has asked it to hand back what it has.
    public var isDraining: Bool
    public var lastSeenAt: Date
    /// Ids of the jobs it runs.
    public var jobs: [String]
    /// Training speed of all its jobs together.
    public var iterationsPerSecond: Double
    /// Cores that its process keeps busy, on average since the previous heartbeat. This and the next two are nil if the
    /// worker is not connected or does not measure.
    public var coresBusy: Double?
    /// Memory of its process.
    public var residentBytes: Int?
    /// Size of the files that wait for delivery in its folder.
    public var spoolBytes: Int?
    /// The pretrained weights that it has. This and the memory are nil if the worker does not announce them.
    public var weights: [String]?
    /// Memory for each slot.
    public var memoryBytesPerSlot: Int?
    /// Why it gets no work, or cannot run some of the waiting jobs; nil if nothing is wrong.
    public var problem: String?
    /// Its public key, as 64 hexadecimal digits; nil if it came over a plain connection.
    public var key: String?

    public init(
        id: String, name: String, softwareVersion: String, cpu: String, slots: Int, threadsPerSlot: Int,
        isConnected: Bool, isDraining: Bool, lastSeenAt: Date, jobs: [String], iterationsPerSecond: Double,
        coresBusy: Double? = nil, residentBytes: Int? = nil, spoolBytes: Int? = nil,
        weights: [String]? = nil, memoryBytesPerSlot: Int? = nil, problem: String? = nil,
        key: String? = nil
    ) {
        self.id = id
        self.name = name
        self.softwareVersion = softwareVersion
        self.cpu = cpu
        self.slots = slots
        self.threadsPerSlot = threadsPerSlot
        self.isConnected = isConnected
        self.isDraining = isDraining
        self.lastSeenAt = lastSeenAt
        self.jobs = jobs
        self.iterationsPerSecond = iterationsPerSecond
        self.coresBusy = coresBusy
        self.residentBytes = residentBytes
        self.spoolBytes = spoolBytes
        self.weights = weights
        self.memoryBytesPerSlot = memoryBytesPerSlot
        self.problem = problem
        self.key = key
    }
}

/// Answer of `GET /api/v1/workers`: connected workers first, then by name.
public struct WorkerList: Codable, Sendable, Equatable {
    public var workers: [WorkerSummary]

    public init(workers: [WorkerSummary]) { self.workers = workers }
}

/// Every error of the API, as `application/problem+json` (RFC 9457).
public struct ProblemDetails: Codable, Sendable, Equatable {
    /// What went wrong, the same for every occurrence.
    public var title: String
    /// The HTTP status.
    public var status: Int
    /// This occurrence: what was found, what was expected, what to do.
    public var detail: String

    public init(title: String, status: Int, detail: String) {
        self.title = title
        self.status = status
        self.detail = detail
    }
}
