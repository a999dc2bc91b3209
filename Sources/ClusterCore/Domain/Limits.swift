/// Every limit of the wire, in one place. A message beyond a limit is malformed: the receiver counts, logs and drops
/// it.
public enum Limits {
    /// Payload bytes of the largest artifact chunk, and the unit of windows.
    public static let chunkBytes = 1 << 20
    /// Payload bytes of the chunks that this version sends. Whatever is behind a chunk waits until the line has carried
    /// it: for 2 s at 1 Mbit/s. At 0.1 Mbit/s that takes as long as the silence after which a worker connects again.
    public static let sentChunkBytes = 256 << 10
    /// Bytes of a serialised envelope: a FINISH with its report, and room for the rest.
    public static let maxEnvelopeBytes = maxReportBytes + (256 << 10)
    /// Bytes of any ZeroMQ frame; libzmq drops the connection of a peer that announces more.
    public static let maxFrameBytes = maxEnvelopeBytes
    /// What CURVE adds to a frame: a command's name, flags, nonce and authenticator, 33 bytes.
    public static let curveFrameBytes = 64
    /// Chunks that a receiver lets be under way: 8 MiB, which fills 1 Gbit/s at a round trip of 60 ms.
    public static let windowChunks: UInt32 = 8
    /// The window that a worker follows when it sends. 16 chunks of ``sentChunkBytes``, because older coordinators drop
    /// what waits for the disk beyond 16 chunks of a transfer. It fills 1 Gbit/s at a round trip of 30 ms.
    public static let uploadWindowChunks: UInt32 = 4
    /// Bytes that wait to be sent to a peer that is away or slow, of chunks and of other messages each: two windows of
    /// chunks.
    public static let outboxBytes = 2 * Int(windowChunks) * (chunkBytes + 1024)
    /// The largest window a sender follows, whatever the receiver grants.
    public static let maxWindowChunks: UInt32 = 32
    public static let maxArtifactBytes: UInt64 = 8 << 30
    /// Bytes of an artifact that a coordinator stores.
    public static let maxStoredBytes = 4 << 30
    /// Pictures that one job makes: as many as its page shows on demand.
    public static let maxPicturesOfJob = 256
    /// Bytes of all pictures of a job, which its worker keeps until they are delivered.
    public static let maxPictureBytesOfJob = 16 << 30
    /// Bytes of a job id, worker id or coordinator id: letters, digits, '-', '_' and '.', not starting with '.'.
    public static let maxIdentifierBytes = 64
    /// UTF-8 bytes of a name for people, a file name, a version or a CPU type.
    public static let maxNameBytes = 255
    /// UTF-8 bytes of a reason or of an answer's message. Its beginning says what happened.
    public static let maxReasonBytes = 16 << 10
    /// Bytes of a job's spec: a recipe.
    public static let maxSpecBytes = 256 << 10
    /// Kinds of work that a worker announces, inputs that a job has and products that a FINISH names.
    public static let maxKinds = 64
    public static let maxInputs = 16
    public static let maxProducts = 16
    public static let maxReportBytes = 1 << 20
    public static let maxMetricColumns = 64
    public static let maxMetricRows = 1024
    public static let maxLogLines = 1024
    public static let maxLogLineBytes = 16 << 10
    /// Bytes of a worker's secret.
    public static let maxSecretBytes = 128
    /// Names of weights that a worker announces.
    public static let maxWeights = 64
    /// Slots of a worker, and therefore attempts in one message.
    public static let maxSlots = 1024
    public static let maxIterations: UInt64 = 1 << 40
    /// The number of busy cores, or the load average, that a worker can report.
    public static let maxLoad = 1e6
    /// Bytes of memory or disk that a worker can report: 1 PiB.
    public static let maxLoadBytes: UInt64 = 1 << 50
    /// Seconds of one iteration: eleven days. Even `maxIterations` of these are a duration that can be shown.
    public static let maxSecondsPerIteration = 1e6
    /// Seconds of a whole training: three thousand years.
    public static let maxSeconds = 1e11
    /// Unix time, for display only: the year 5138, which fits four digits.
    public static let maxUnixSeconds = 1e11
}
