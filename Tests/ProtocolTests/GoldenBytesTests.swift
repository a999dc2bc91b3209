import Foundation
import Testing

@testable import Protocol

/// Version 1 on the wire, for ever: other software writes and reads these bytes.
struct GoldenBytesTests {
    private static let session: UInt64 = 0x0123_4567_89ab_cdef
    private static let ref = WireAttemptRef(jobID: "00000c00ze", attempt: 3)
    private static let other = WireAttemptRef(jobID: "00000c00zf", attempt: 1)
    private static let digests = ["a", "b", "c"].map { String(repeating: $0, count: 64) }
    private static let payload: [UInt8] = [1, 2, 3, 4, 5]

    private static let status = WireAttemptStatus.with {
        $0.attempt = ref
        $0.iteration = 1234
        $0.totalIterations = 50_000
        $0.secondsPerIteration = 0.75
    }

    private static let fromWorker: [String: WireMessage.Body] = [
        "hello": .hello(
            .with {
                $0.minVersion = 1
                $0.maxVersion = 1
                $0.workerID = "worker-1"
                $0.name = "forge:42"
                $0.softwareVersion = "0.1.0"
                $0.slots = 2
                $0.threadsPerSlot = 4
                $0.cpu = "Zen 4"
                $0.running = [status]
            }),
        "work_request": .workRequest(
            .with {
                $0.requestID = 7
                $0.freeSlots = 2
            }),
        "heartbeat": .heartbeat(
            .with {
                $0.sequence = 9
                $0.freeSlots = 1
                $0.running = [status]
            }),
        "heartbeat_with_load": .heartbeat(
            .with {
                $0.sequence = 10
                $0.freeSlots = 1
                $0.running = [status]
                $0.load = .with {
                    $0.coresBusy = 1.75
                    $0.residentBytes = 734_003_200
                    $0.spoolBytes = 5_368_709_120
                    $0.loadAverage = 2.5
                }
            }),
        "metrics": .metrics(
            .with {
                $0.attempt = ref
                $0.requestID = 10
                $0.columns = ["l1", "style"]
                $0.rows = [
                    .with {
                        $0.iteration = 10
                        $0.unixSeconds = 1_700_000_000.5
                        $0.values = [0.5, .infinity]
                    },
                    .with {
                        $0.iteration = 20
                        $0.unixSeconds = 1_700_000_001.5
                        $0.values = [0.25, -2]
                    },
                ]
            }),
        "log": .log(
            .with {
                $0.attempt = ref
                $0.requestID = 11
                $0.lines = [
                    .with {
                        $0.unixSeconds = 1_700_000_000.25
                        $0.level = "info"
                        $0.message = "Bäume"
                    }
                ]
            }),
        "artifact_offer": .artifactOffer(
            .with {
                $0.attempt = ref
                $0.transferID = 12
                $0.kind = .checkpoint
                $0.artifact = WireArtifact(sha256: digests[0], sizeBytes: 123_456_789)
                $0.iteration = 1234
            }),
        "finish": .finish(
            .with {
                $0.attempt = ref
                $0.requestID = 13
                $0.iteration = 50_000
                $0.generatorSha256 = digests[0]
                $0.discriminatorSha256 = digests[1]
                $0.checkpointSha256 = digests[2]
                $0.trainingSeconds = 37_500.5
                $0.reportJson = "{}"
            }),
        "fail": .fail(
            .with {
                $0.attempt = ref
                $0.requestID = 14
                $0.iteration = 99
                $0.reason = "l1 is nan"
                $0.retryable = true
                $0.code = "notFinite"
            }),
        "hand_back": .handBack(
            .with {
                $0.attempt = ref
                $0.requestID = 15
                $0.iteration = 100
                $0.reason = "SIGTERM"
            }),
        "goodbye": .goodbye(.with { $0.reason = "stopped" }),
    ]

    private static let transfer: [String: WireMessage.Body] = [
        "artifact_chunk": .artifactChunk(
            .with {
                $0.transferID = 12
                $0.offset = 1_048_576
                $0.crc32 = CRC32.checksum(payload)
                $0.last = true
            }),
        "artifact_credit": .artifactCredit(
            .with {
                $0.transferID = 12
                $0.nextOffset = 1_048_581
                $0.windowChunks = 8
                $0.rewind = true
            }),
        "artifact_request": .artifactRequest(
            .with {
                $0.transferID = 16
                $0.artifact = WireArtifact(sha256: digests[1], sizeBytes: 4096)
                $0.offset = 1024
                $0.windowChunks = 8
                $0.attempt = ref
            }),
    ]

    private static let fromCoordinator: [String: WireMessage.Body] = [
        "welcome": .welcome(
            .with {
                $0.version = 1
                $0.coordinatorID = "c0ffee"
                $0.softwareVersion = "0.1.0"
                $0.heartbeatMilliseconds = 5000
                $0.leaseMilliseconds = 20_000
                $0.lost = [other]
            }),
        "hello_again": .helloAgain(WireHelloAgain()),
        "assign": .assign(
            .with {
                $0.requestID = 7
                $0.attempt = ref
                $0.name = "wood"
                $0.recipeYaml = "recipe: draft\n"
                $0.exemplar = WireArtifact(sha256: digests[0], sizeBytes: 2048)
                $0.exemplarFileName = "wood.png"
                $0.checkpoint = WireArtifact(sha256: digests[1], sizeBytes: 4096)
                $0.checkpointIteration = 1200
            }),
        "no_work": .noWork(
            .with {
                $0.requestID = 7
                $0.retryAfterMilliseconds = 1000
            }),
        "heartbeat_reply": .heartbeatReply(
            .with {
                $0.sequence = 9
                $0.cancelled = [ref]
                $0.lost = [other]
                $0.drain = true
            }),
        "artifact_receipt": .artifactReceipt(
            .with {
                $0.transferID = 12
                $0.sha256 = digests[0]
            }),
        "acknowledgement": .acknowledgement(
            .with {
                $0.requestID = 14
                $0.code = .tryLater
                $0.message = "busy"
            }),
        "cancel": .cancel(
            .with {
                $0.attempt = ref
                $0.reason = "enough"
            }),
        "drain": .drain(.with { $0.reason = "asked by a person" }),
        "refusal": .refusal(
            .with {
                $0.code = .versionUnsupported
                $0.message = "upgrade the worker"
            }),
    ]

    @Test func everyMessageOfVersionOneHasTheBytesItAlwaysHad() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Fixtures/version-1.hex")
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n").filter { !$0.hasPrefix("#") }
        let bodies = Self.fromWorker.merging(Self.transfer) { $1 }.merging(Self.fromCoordinator) { $1 }
        #expect(Set(lines.map { String($0.prefix { $0 != " " }) }) == Set(bodies.keys))
        for line in lines {
            let fields = line.split(separator: " ")
            let frames = try fields.dropFirst().map(Self.bytes)
            let name = String(fields[0])
            let body = try #require(bodies[name])
            let message = WireMessage(
                body, session: Self.session, version: 1, payload: frames.count > 1 ? frames[1] : nil)
            #expect(try WireMessage(frames: frames) == message, "\(name) is read otherwise")
            #expect(try message.frames() == frames, "\(name) is written otherwise")
        }
    }

    @Test(arguments: zip(0...10, WireCode.allCases))
    func codesKeepTheirNumbers(number: Int, code: WireCode) {
        #expect(code.rawValue == number && WireCode(rawValue: number) == code)
    }

    private static func bytes(_ hex: Substring) throws -> [UInt8] {
        let digits = Array(hex)
        return try stride(from: 0, to: digits.count, by: 2).map { index in
            try #require(UInt8(String(digits[index...index + 1]), radix: 16))
        }
    }
}
