import AsyncHTTPClient
import Base
import Foundation
import Logging

/// Sends messages about ends to all receivers, each at its own pace.
struct Notifier: Sendable {
    /// What transactions record; nil without receivers.
    let policy: NotificationPolicy?
    private let configuration: NotificationConfiguration
    private let signature: WebhookSignature?
    private let disk: BlockingWork

    /// - Parameter publicURL: The address for links, if the configuration names none.
    /// - Throws: `CoordinatorError.badConfiguration`.
    init(_ configuration: NotificationConfiguration, publicURL: String?, disk: BlockingWork) throws {
        self.configuration = configuration
        self.disk = disk
        signature = try configuration.secretFile.map(WebhookSignature.init(file:))
        guard configuration.hasReceivers else {
            policy = nil
            return
        }
        var link = configuration.publicURL?.absoluteString ?? publicURL
        while link?.hasSuffix("/") == true { link?.removeLast() }
        policy = NotificationPolicy(
            receivers: configuration.webhooks.map(Webhook.id(of:))
                + [configuration.command].compactMap(\.self).map(NotificationCommand.id(of:)),
            kinds: configuration.kinds, publicURL: link)
    }

    /// Makes the receivers, and ends their connections afterwards.
    private func withReceivers<Value>(_ body: ([any NotificationReceiver]) async -> Value) async -> Value {
        var receivers: [any NotificationReceiver] = []
        var client: HTTPClient?
        if let signature, !configuration.webhooks.isEmpty {
            let http = HTTPClient.forWebhooks()
            client = http
            receivers += configuration.webhooks.map {
                Webhook(url: $0, signature: signature, client: http, timeout: configuration.webhookTimeout)
            }
        }
        if let command = configuration.command { receivers.append(NotificationCommand(program: command, disk: disk)) }
        let value = await body(receivers)
        // Also in a cancelled task.
        if let client { _ = try? await Task { try await client.shutdown() }.value }
        return value
    }

    /// Works until the task is cancelled.
    func run(_ store: JobStore, _ metrics: CoordinatorMetrics, startedAt: Date, logger: Logger) async {
        do {
            let count = try await store.removeNotifications(exceptFor: policy?.receivers ?? [])
            if count > 0 {
                logger.warning("\(counted(count, "message")) of receivers that are no longer there are given up")
            }
        } catch {
            logger.warning("messages of earlier receivers stay", metadata: ["error": "\(error)"])
        }
        for url in configuration.webhooks
        where url.scheme == "http" && !CoordinatorConfiguration.isLoopback(url.host ?? "") {
            logger.warning("\(Webhook.title(of: url)): others can read messages on their way; use https://")
        }
        await withReceivers { receivers in
            await withTaskGroup(of: Void.self) { group in
                for receiver in receivers {
                    let sender = NotificationSender(
                        receiver, store: store, metrics: metrics, startedAt: startedAt, logger: logger)
                    group.addTask { await sender.run() }
                }
                // Without receivers, too, the service ends with the coordinator.
                group.addTask { while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) } }
            }
        }
    }

    /// Sends a message of the type `test` to each receiver, once.
    /// - Returns: What became of it.
    func test() async -> [NotificationTest] {
        await withReceivers { receivers in
            var tests: [NotificationTest] = []
            for receiver in receivers { tests.append(await test(receiver)) }
            return tests
        }
    }

    private func test(_ receiver: any NotificationReceiver) async -> NotificationTest {
        let message = NotificationMessage(
            id: UUID.random().uuidString.lowercased(), type: .test, timestamp: Date(), data: .init())
        do throws(DeliveryFailure) {
            try await receiver.deliver(PendingNotification(message))
            return NotificationTest(receiver: receiver.title, failure: nil)
        } catch {
            return NotificationTest(receiver: receiver.title, failure: error.reason)
        }
    }
}

/// What became of a test message.
public struct NotificationTest: Sendable, Equatable {
    public var receiver: String
    /// Why the receiver did not take it; nil if it did.
    public var failure: String?
}
