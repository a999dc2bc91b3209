import HTTPTypes
import NIOCore
import NIOHTTPTypes

/// Closes a connection that is one too many, or whose client lets a deadline of `HTTPLimits` pass.
final class ConnectionWatch: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    /// What a client must take within the time limit, while it takes an answer.
    private static let leastTaken = 1 << 16

    private let connections: HTTPConnections
    private var limits: HTTPLimits { connections.limits }
    private var hasBegun = false
    /// Requests whose answer the client has not taken whole.
    private var unanswered = 0
    private var isReadingBody = false
    private var bodyEnd = NIODeadline.distantFuture
    /// Until the client has sent what it must send next.
    private var reading: Scheduled<Void>?
    /// Parts of answers that the client has not taken whole.
    private var untaken = 0
    /// Until the client must have taken more of them.
    private var writing: Scheduled<Void>?
    private let sent = SentBytes()

    init(_ connections: HTTPConnections) { self.connections = connections }

    func handlerAdded(context: ChannelHandlerContext) {
        try? context.pipeline.syncOperations.addHandler(sent, position: .first)
        if context.channel.isActive { begin(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        cancel()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { cancel() }

    private func begin(_ context: ChannelHandlerContext) {
        guard !hasBegun else { return }
        hasBegun = true
        let channel = context.channel
        guard connections.admit(channel) else {
            // Not within the set-up of the channel, which would fail.
            context.eventLoop.execute { channel.close(promise: nil) }
            return
        }
        expect(within: .seconds(Int64(limits.headSeconds)), context.channel)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            unanswered += 1
            isReadingBody = true
            bodyEnd = .now() + .seconds(Int64(limits.bodySeconds))
            expectBody(context)
        case .body: if unanswered > 0 { expectBody(context) }
        case .end:
            isReadingBody = false
            if unanswered > 0 {
                reading?.cancel()
            } else {
                expect(within: .seconds(Int64(limits.idleSeconds)), context.channel)
            }
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let channel = context.channel
        untaken += 1
        if writing == nil { expectTaking(channel) }
        var isEnd = false
        if case .end = unwrapOutboundIn(data) { isEnd = true }
        // Megabytes of the answer may still wait in front of its end.
        let taken = promise ?? context.eventLoop.makePromise()
        taken.futureResult.assumeIsolated().whenComplete { [self] result in
            untaken -= 1
            if untaken == 0 {
                writing?.cancel()
                writing = nil
            }
            guard isEnd, case .success = result else { return }
            unanswered -= 1
            if unanswered == 0 {
                expect(within: .seconds(Int64(isReadingBody ? limits.drainSeconds : limits.idleSeconds)), channel)
            }
        }
        context.write(data, promise: taken)
    }

    /// Counts bytes on the socket: TLS makes one large part of many small ones, and a part counts once it is taken whole.
    private func expectTaking(_ channel: any Channel) {
        let before = sent.taken(by: channel)
        writing = channel.eventLoop.assumeIsolated().scheduleTask(in: .seconds(Int64(limits.writeStallSeconds))) {
            [self] in
            if sent.taken(by: channel) - before >= Self.leastTaken {
                expectTaking(channel)
            } else {
                channel.close(promise: nil)
            }
        }
    }

    private func expectBody(_ context: ChannelHandlerContext) {
        expect(within: min(.seconds(Int64(limits.bodyStallSeconds)), bodyEnd - .now()), context.channel)
    }

    private func expect(within time: TimeAmount, _ channel: any Channel) {
        reading?.cancel()
        reading = channel.eventLoop.scheduleTask(in: time) { channel.close(promise: nil) }
    }

    private func cancel() {
        reading?.cancel()
        writing?.cancel()
        writing = nil
    }
}

/// Counts the bytes that go to the socket, encrypted if the connection is.
private final class SentBytes: ChannelOutboundHandler {
    typealias OutboundIn = IOData
    typealias OutboundOut = IOData

    private var count = 0

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        count += unwrapOutboundIn(data).readableBytes
        context.write(data, promise: promise)
    }

    /// How many of the bytes have left the channel. Only a closed channel does not say how many wait in it.
    func taken(by channel: any Channel) -> Int {
        count - ((try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0)
    }
}
