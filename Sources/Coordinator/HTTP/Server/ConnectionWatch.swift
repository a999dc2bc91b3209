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
    private static let blockBytes = 1 << 16

    private let connections: HTTPConnections
    private var limits: HTTPLimits { connections.limits }
    private var hasBegun = false
    /// Requests whose answer the client has not taken whole.
    private var unanswered = 0
    private var isReadingBody = false
    private var bodyEnd = NIODeadline.distantFuture
    /// Until the client has sent what it must send next.
    private var reading: Scheduled<Void>?
    /// Until the client takes more of an answer.
    private var writing: Scheduled<Void>?

    init(_ connections: HTTPConnections) { self.connections = connections }

    func handlerAdded(context: ChannelHandlerContext) { if context.channel.isActive { begin(context) } }

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
        let part = unwrapOutboundIn(data)
        if case .body(let buffer) = part, buffer.readableBytes > Self.blockBytes {
            return write(buffer, context, promise)
        }
        guard case .end = part else { return context.write(data, promise: promise) }
        // Megabytes of the answer may still wait in front of its end.
        let taken = promise ?? context.eventLoop.makePromise()
        let channel = context.channel
        taken.futureResult.assumeIsolated().whenSuccess { [self] in
            unanswered -= 1
            if unanswered == 0 {
                expect(within: .seconds(Int64(isReadingBody ? limits.drainSeconds : limits.idleSeconds)), channel)
            }
        }
        context.write(data, promise: taken)
    }

    /// Writes a large body in blocks, because the channel tells only of whole writes that the client has taken them.
    private func write(_ body: ByteBuffer, _ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?) {
        var body = body
        let channel = context.channel
        while let block = body.readSlice(length: min(Self.blockBytes, body.readableBytes)), block.readableBytes > 0 {
            let taken = context.eventLoop.makePromise(of: Void.self)
            if body.readableBytes == 0 { taken.futureResult.cascade(to: promise) }
            taken.futureResult.assumeIsolated().whenSuccess { [self] in
                if writing != nil { expectTaking(channel) }
            }
            context.write(wrapOutboundOut(.body(block)), promise: taken)
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        writing?.cancel()
        writing = nil
        if !context.channel.isWritable { expectTaking(context.channel) }
        context.fireChannelWritabilityChanged()
    }

    private func expectTaking(_ channel: any Channel) {
        writing?.cancel()
        writing = channel.eventLoop.scheduleTask(in: .seconds(Int64(limits.writeStallSeconds))) {
            channel.close(promise: nil)
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
