import Testing

@testable import ClusterCore
@testable import Protocol

/// Downloads over a slow line, with a heartbeat of 5 s.
struct WorkerDownloadTests {
    private let ref = WorkerBench.ref

    /// A coordinator that sends what the worker asks for, over a line that carries one chunk after the other.
    private struct Line {
        var bench: WorkerBench
        var senders: [UInt64: ArtifactSender] = [:]
        var underWay: [(transferID: UInt64, chunk: ArtifactSender.Chunk)] = []
        /// Seconds of requests, by transfer.
        var requests: [UInt64: [Int]] = [:]
        var sentBytes = 0
        var seconds: Int { Int(bench.now.since(.origin).inSeconds) }

        mutating func take(_ effects: [WorkerState.Effect]) {
            for case .send(let message) in effects {
                switch message {
                case .request(let request):
                    requests[request.transferID, default: []].append(seconds)
                    grant(
                        ArtifactCredit(
                            transferID: request.transferID, nextOffset: request.offset,
                            windowChunks: request.windowChunks, isRewind: true),
                        of: request.artifact.sizeBytes)
                case .credit(let credit): grant(credit, of: 0)
                default: break
                }
            }
        }

        private mutating func grant(_ credit: ArtifactCredit, of sizeBytes: Int) {
            let id = credit.transferID
            var sender = senders[id] ?? ArtifactSender(transferID: id, sizeBytes: UInt64(sizeBytes))
            sender.grant(credit)
            while let chunk = sender.next() {
                underWay.append((id, chunk))
                sentBytes += chunk.count
            }
            senders[id] = sender
        }

        /// A second passes. Short messages overtake the chunks, so the worker hears that the coordinator lives.
        mutating func pass(delivering: Bool = false) {
            take(bench.play(.tick, after: .seconds(1)))
            take(bench.hear(.heartbeatReply(WireHeartbeatReply())))
            guard delivering, !underWay.isEmpty else { return }
            let (id, part) = underWay.removeFirst()
            let chunk = ArtifactChunk(transferID: id, offset: part.offset, isLast: part.isLast)
            let payload = [UInt8](repeating: 7, count: part.count)
            take(bench.play(.received(.chunk(chunk, payload), session: 5)))
        }
    }

    private func assignment(_ job: Int64, megabytes: Int) -> Assignment {
        let artifact = Artifact(sha256: WorkerBench.digests[Int(job)], sizeBytes: megabytes << 20)
        return Assignment(
            attempt: AttemptReference(job: JobID(sequence: job, salt: 0), number: 1), kind: .train, name: "job",
            spec: "recipe", inputs: [JobInput(name: JobInput.exemplar, artifact: artifact, fileName: "a.png")],
            checkpoint: nil)
    }

    /// A worker with a download of so many megabytes for each job.
    private func downloading(_ megabytes: Int...) -> Line {
        var line = Line(bench: WorkerBench())
        line.bench.play(.tick)
        line.bench.welcome(heartbeatSeconds: 5)
        for (index, size) in megabytes.enumerated() {
            let assignment = assignment(Int64(index + 1), megabytes: size)
            line.take(line.bench.play(.received(.assign(requestID: 1, assignment), session: 5)))
        }
        return line
    }

    @Test func aSlowLineCarriesEveryByteOnce() {
        var line = downloading(20)
        for second in 1...8 * 80 { line.pass(delivering: second % 8 == 0) }
        #expect(line.senders.values.allSatisfy { $0.isComplete })
        #expect(line.sentBytes == 20 << 20)
        #expect(line.requests.values.allSatisfy { $0 == [0] })
    }

    /// Each waits while a window of the other arrives.
    @Test func twoDownloadsOverASlowLineCarryEveryByteOnce() {
        var line = downloading(20, 20)
        for second in 1...2 * 160 { line.pass(delivering: second % 2 == 0) }
        #expect(line.senders.values.allSatisfy { $0.isComplete })
        #expect(line.sentBytes == 40 << 20)
        #expect(line.requests.values.allSatisfy { $0 == [0] })
    }

    @Test func chunksThatAreLostAreRequestedAgain() throws {
        var line = downloading(1)
        line.underWay = []
        for _ in 1...30 { line.pass() }
        let id = try #require(line.requests.keys.first)
        #expect(line.requests[id] == [0, 12, 24])
        line.pass(delivering: true)
        // The rest is lost. Now the worker knows how long a chunk takes, and waits for that long.
        line.underWay = []
        for _ in 1...30 { line.pass() }
        #expect(try #require(line.requests[id]?.last) > 50)
    }

    @Test func aRequestThatIsPutOffIsRepeatedAfterAHeartbeat() throws {
        var line = downloading(1)
        line.underWay = []
        let id = try #require(line.requests.keys.first)
        line.take(line.bench.acknowledge(id, .tryLater))
        for _ in 1...6 { line.pass() }
        #expect(line.requests[id] == [0, 6])
    }

    @Test func aNewConnectionIsAskedAtOnce() throws {
        var line = downloading(1)
        line.pass(delivering: true)
        line.underWay = []
        let id = try #require(line.requests.keys.first)
        line.take(line.bench.hear(.helloAgain(WireHelloAgain())))
        line.take(line.bench.welcome(heartbeatSeconds: 5))
        #expect(line.requests[id] == [0, 1])
        #expect(line.underWay.first?.chunk.offset == UInt64(Limits.sentChunkBytes))
    }
}

/// Uploads over a slow line.
struct WorkerUploadTests {
    /// A heartbeat waits for the chunks that libzmq holds, and older coordinators hold 16 chunks of a transfer.
    @Test func chunksAreSmallAndNoMoreThanSixteenAreUnderWay() throws {
        var bench = WorkerBench.training()
        let artifact = Artifact(sha256: WorkerBench.digests[2], sizeBytes: 20 << 20)
        let offer = try #require(
            bench.play(.spooled(WorkerBench.ref, .checkpoint, iteration: 1, artifact, file: "a")).offers.first)
        var receiver = ArtifactReceiver(transferID: offer.transferID, artifact: artifact)
        var underWay: [ArtifactSender.Chunk] = []
        func grant(rewind: Bool) {
            let effects = bench.play(.received(.credit(receiver.credit(rewind: rewind)), session: 5))
            for case .sendChunk(_, _, let chunk, _) in effects { underWay.append(chunk) }
        }
        grant(rewind: true)
        while !underWay.isEmpty {
            #expect(underWay.count <= 16 && underWay.allSatisfy { $0.count <= 256 << 10 })
            let part = underWay.removeFirst()
            let chunk = ArtifactChunk(transferID: offer.transferID, offset: part.offset, isLast: part.isLast)
            _ = receiver.receive(chunk, byteCount: part.count)
            grant(rewind: false)
        }
        #expect(receiver.isComplete)
    }
}
