import ClusterCore
import SwiftProtobuf

/// One message of the wire: an envelope, and for an artifact chunk its raw bytes.
///
/// As ZeroMQ frames: `[envelope]` or `[envelope, payload]`. Frames that decode are also valid: a consumer may rely on
/// identifiers being safe as file names, digests being 64 hex digits and counts being within ``Limits``.
public struct WireMessage: Equatable, Sendable {
    public typealias Body = WireEnvelope.OneOf_Body

    public var envelope: WireEnvelope
    public var payload: [UInt8]?

    public init(envelope: WireEnvelope, payload: [UInt8]? = nil) {
        self.envelope = envelope
        self.payload = payload
    }

    /// A message with the given body, to or from the worker of `session`.
    public init(
        _ body: Body, session: UInt64, version: UInt32 = ProtocolVersion.newest, payload: [UInt8]? = nil
    ) {
        envelope = WireEnvelope()
        envelope.version = version
        envelope.session = session
        envelope.body = body
        self.payload = payload
    }

    /// What the message says; never nil in a message that was decoded.
    public var body: Body? { envelope.body }
    public var session: UInt64 { envelope.session }

    /// Decodes and validates the frames after the routing id.
    /// - Throws: ``ProtocolError`` with code `malformed`, or `versionUnsupported` for a version this side cannot read.
    public init(frames: [[UInt8]]) throws(ProtocolError) {
        guard frames.count == 1 || frames.count == 2 else {
            throw .malformed("\(frames.count) frames; a message has an envelope and at most one payload")
        }
        guard frames[0].count <= Limits.maxEnvelopeBytes else {
            throw .malformed("envelope of \(frames[0].count) bytes; at most \(Limits.maxEnvelopeBytes)")
        }
        let envelope: WireEnvelope
        do {
            envelope = try WireEnvelope(serializedBytes: frames[0])
        } catch {
            throw .malformed("envelope of \(frames[0].count) bytes is not a texloom.v1.Envelope: \(error)")
        }
        self.init(envelope: envelope, payload: frames.count == 2 ? frames[1] : nil)
        try validate()
    }

    /// The version and session of an envelope, even if this version cannot read its body.
    public static func head(ofFrame frame: [UInt8]) -> (version: UInt32, session: UInt64)? {
        (try? WireEnvelope(serializedBytes: frame)).map { ($0.version, $0.session) }
    }

    /// The frames to send after the routing id.
    /// - Throws: ``ProtocolError`` if the other side would not accept the message.
    public func frames() throws(ProtocolError) -> [[UInt8]] {
        try validate()
        let bytes: [UInt8]
        do {
            bytes = try envelope.serializedBytes()
        } catch {
            throw .malformed("envelope cannot be serialised: \(error)")
        }
        guard bytes.count <= Limits.maxEnvelopeBytes else {
            throw .malformed("envelope of \(bytes.count) bytes; at most \(Limits.maxEnvelopeBytes)")
        }
        return payload.map { [bytes, $0] } ?? [bytes]
    }
}

extension WireAttemptRef {
    public init(jobID: String, attempt: UInt32) {
        self.init()
        self.jobID = jobID
        self.attempt = attempt
    }
}

extension WireArtifact {
    public init(sha256: String, sizeBytes: UInt64) {
        self.init()
        self.sha256 = sha256
        self.sizeBytes = sizeBytes
    }
}
