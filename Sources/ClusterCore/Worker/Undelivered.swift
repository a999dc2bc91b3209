/// Something that waits for the coordinator's acknowledgement.
package struct Undelivered: Equatable, Sendable {
    package enum Content: Equatable, Sendable {
        case metrics(MetricsBlock), log([LogLine])
        case artifact(ArtifactOffer, file: String)
        case finish(Completion), fail(Failure), handBack(iteration: Int, reason: String)
    }
    /// The request or transfer id. Every repetition carries it, so that the coordinator recognises the repetition.
    package var id: UInt64
    package var attempt: AttemptReference
    package var content: Content
    /// How often the coordinator received other bytes than the offer announced.
    var mismatches = 0

    package init(id: UInt64, attempt: AttemptReference, content: Content) {
        self.id = id
        self.attempt = attempt
        self.content = content
    }

    package var endsAttempt: Bool {
        switch content {
        case .finish, .fail, .handBack: true
        case .metrics, .log, .artifact: false
        }
    }

    /// About how many bytes it holds in memory.
    var weight: Int {
        switch content {
        case .metrics(let block): 256 + block.weightOfRows
        case .log(let lines): lines.reduce(256) { $0 + $1.weight }
        case .artifact, .finish, .fail, .handBack: 256
        }
    }

    /// Whether it travels beside the artifacts instead of behind them.
    package var isReport: Bool {
        switch content {
        case .metrics, .log: true
        case .artifact, .finish, .fail, .handBack: false
        }
    }

    package func isArtifact(_ role: ArtifactRole) -> Bool {
        if case .artifact(let offer, _) = content { offer.role == role } else { false }
    }

    package var message: MessageToCoordinator {
        switch content {
        case .metrics(let block): .metrics(attempt, requestID: id, block)
        case .log(let lines): .log(attempt, requestID: id, lines)
        case .artifact(let offer, _): .offer(offer)
        case .finish(let completion): .finish(attempt, requestID: id, completion)
        case .fail(let failure): .fail(attempt, requestID: id, failure)
        case .handBack(let iteration, let reason):
            .handBack(attempt, requestID: id, iteration: iteration, reason: reason)
        }
    }
}

extension Undelivered {
    /// A hand-back is final only for the process that ends. The next process may resume the attempt.
    var outlivesItsProcess: Bool {
        if case .handBack = content { false } else { !isReport }
    }

    /// The same item under another id.
    func numbered(_ id: UInt64) -> Undelivered {
        var item = self
        item.id = id
        if case .artifact(var offer, let file) = content {
            offer.transferID = id
            item.content = .artifact(offer, file: file)
        }
        return item
    }
}
