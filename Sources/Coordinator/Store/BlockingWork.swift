import Dispatch

/// Runs calls that wait for the disk on threads of their own, so that they never hold up Swift's cooperative pool.
struct BlockingWork: Sendable {
    private let queue = DispatchQueue(label: "texloom.disk", attributes: .concurrent)

    func run<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Swift.Result(catching: work)) }
        }
    }
}
