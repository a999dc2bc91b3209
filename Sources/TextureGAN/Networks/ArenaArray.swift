import NNCore

/// A short array in an arena's memory, so that a training step allocates nothing. It is valid until the arena is
/// released to a height below it.
struct ArenaArray<Element: BitwiseCopyable>: RandomAccessCollection {
    private let elements: UnsafeMutablePointer<Element>
    private let capacity: Int
    private(set) var endIndex = 0

    init(capacity: Int, in arena: Arena) {
        let bytes = capacity * MemoryLayout<Element>.stride
        let memory = arena.floats((bytes + MemoryLayout<Float>.size - 1) / MemoryLayout<Float>.size)
        elements = UnsafeMutableRawPointer(memory).bindMemory(to: Element.self, capacity: capacity)
        self.capacity = capacity
    }

    var startIndex: Int { 0 }

    subscript(index: Int) -> Element {
        precondition(index >= 0 && index < endIndex)
        return elements[index]
    }

    mutating func append(_ element: Element) {
        precondition(endIndex < capacity)
        elements[endIndex] = element
        endIndex += 1
    }
}

extension Arena {
    /// The results of `transform` for each element, in order. They lie below the memory that `transform` itself takes.
    func map<Source: Collection, Element>(
        _ source: Source, _ transform: (Source.Element) -> Element
    ) -> ArenaArray<Element> {
        var result = ArenaArray<Element>(capacity: source.count, in: self)
        for element in source { result.append(transform(element)) }
        return result
    }
}
