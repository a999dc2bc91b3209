/// A worker as it introduces itself.
package struct WorkerIdentity: Sendable, Hashable {
    /// Stays the same when the worker restarts.
    package var id: String
    package var name: String
    package var softwareVersion: String
    package var slots: Int
    package var threadsPerSlot: Int
    package var cpu: String
    /// The kinds of work that it does. Not recorded, because every HELLO names them.
    package var kinds: Set<JobKind>
    /// nil: the worker does not announce it. Not recorded, because it comes with every HELLO.
    package var equipment: Equipment?
    /// Not on the wire as they are: the coordinator takes the key from the connection.
    package var credentials: WorkerCredentials

    package init(
        id: String, name: String, softwareVersion: String, slots: Int, threadsPerSlot: Int, cpu: String,
        kinds: Set<JobKind> = [.train], equipment: Equipment? = nil,
        credentials: WorkerCredentials = WorkerCredentials()
    ) {
        self.id = id
        self.name = name
        self.softwareVersion = softwareVersion
        self.slots = slots
        self.threadsPerSlot = threadsPerSlot
        self.cpu = cpu
        self.kinds = kinds
        self.equipment = equipment
        self.credentials = credentials
    }

    /// What a worker has to train with.
    package struct Equipment: Sendable, Hashable {
        package var weights: Set<String>
        /// For each slot; 0: unknown.
        package var memoryBytes: Int

        package init(weights: Set<String>, memoryBytes: Int) {
            self.weights = weights
            self.memoryBytes = memoryBytes
        }
    }
}
