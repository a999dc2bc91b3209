/// A dictionary whose copies are cheap to change: the entries are spread over shards, and changing one entry of a copy
/// duplicates that entry's shard only.
///
/// The coordinator keeps the state from before each batch until the batch has committed. With one plain dictionary of
/// ten thousand jobs, every batch would copy all of them.
package struct ShardedTable<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private var shards: [[Key: Value]]
    package private(set) var count = 0

    package init(shards: Int = 512) {
        precondition(shards > 0)
        self.shards = Array(repeating: [:], count: shards)
    }

    package subscript(key: Key) -> Value? {
        get { shards[shard(of: key)][key] }
        set {
            let index = shard(of: key)
            let before = shards[index].count
            shards[index][key] = newValue
            count += shards[index].count - before
        }
    }

    /// All entries, in no particular order.
    package var values: some Sequence<Value> { shards.lazy.flatMap(\.values) }

    private func shard(of key: Key) -> Int { Int(UInt(bitPattern: key.hashValue) % UInt(shards.count)) }
}
