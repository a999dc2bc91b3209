import TensorChecks
import Testing

@testable import Kernels
@testable import Tensors

@Suite struct RandomStreamTests {
    /// Counter words are (position low, position high, purpose, 0); key words are (seed low, seed high). The fourth
    /// word is 0, so the stream can reproduce only the first published answer. The others check `philox`, which takes
    /// all four words. The next test uses `philox` to fix how position, purpose and seed map to words.
    @Test func philoxGivesTheKnownAnswersOfItsAuthors() {
        // From the Random123 distribution, kat_vectors, philox4x32 with 10 rounds.
        let answers: [(counter: [UInt32], key: [UInt32], expected: [UInt32])] = [
            ([0, 0, 0, 0], [0, 0], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            (
                [.max, .max, .max, .max], [.max, .max],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
            ),
        ]
        for answer in answers { #expect(philox(answer.counter, answer.key) == answer.expected) }
        #expect(words(RandomStream(seed: 0, purpose: 0).block(at: 0)) == answers[0].expected)
    }

    @Test func positionPurposeAndSeedAreTheCountersAndKeysWords() {
        for seed in [0, 1, 0xA409_3822_299F_31D0, UInt64.max] {
            for purpose in [0, 1, 4, UInt32.max] {
                for position in [0, 1, 0xFFFF_FFFF, 0x1_0000_0000, 0x85A3_08D3_243F_6A88, UInt64.max] {
                    let expected = philox(
                        [UInt32(truncatingIfNeeded: position), UInt32(position >> 32), purpose, 0],
                        [UInt32(truncatingIfNeeded: seed), UInt32(seed >> 32)])
                    #expect(words(RandomStream(seed: seed, purpose: purpose).block(at: position)) == expected)
                }
            }
        }
    }

    /// Philox 4x32-10, directly from the paper.
    private func philox(_ counter: [UInt32], _ key: [UInt32]) -> [UInt32] {
        var (c, k) = (counter, key)
        for round in 0..<10 {
            if round > 0 { k = [k[0] &+ 0x9E37_79B9, k[1] &+ 0xBB67_AE85] }
            let p0 = (0xD251_1F53 as UInt32).multipliedFullWidth(by: c[0])
            let p1 = (0xCD9E_8D57 as UInt32).multipliedFullWidth(by: c[2])
            c = [p1.high ^ c[1] ^ k[0], p1.low, p0.high ^ c[3] ^ k[1], p0.low]
        }
        return c
    }

    private func words(_ block: SIMD4<UInt32>) -> [UInt32] { (0..<4).map { block[$0] } }

    @Test func aStreamGoesOnFromItsPosition() {
        var stream = RandomStream(seed: 5, purpose: 2)
        for _ in 0..<10 { _ = stream.next() }
        var restored = RandomStream(seed: 5, purpose: 2, position: stream.position)
        for _ in 0..<10 { #expect(stream.next() == restored.next()) }
        var other = RandomStream(seed: 5, purpose: 3, position: stream.position)
        #expect(other.next() != stream.next())
    }

    @Test func everyDrawTakesOneBlock() {
        var stream = RandomStream(seed: 5, purpose: 2)
        _ = stream.integer(through: 10)
        _ = stream.uniform()
        _ = stream.normal()
        _ = stream.next()
        #expect(stream.position == 4)
        #expect(stream.reserve(blocks: 7) == 4)
        #expect(stream.position == 11)
    }

    @Test(arguments: [0, 1, 2, 9, 255])
    func integersReachBothEndsAndAreUniform(limit: Int) {
        var stream = RandomStream(seed: 11, purpose: 0)
        let draws = 20_000
        var counts = [Int](repeating: 0, count: limit + 1)
        for _ in 0..<draws { counts[stream.integer(through: limit)] += 1 }
        let expected = Double(draws) / Double(limit + 1)
        let chiSquare = counts.reduce(0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected }
        // Six deviations of a chi-square distribution with `limit` degrees of freedom.
        #expect(chiSquare <= Double(limit) + 6 * Double(2 * limit).squareRoot())
        #expect(counts.allSatisfy { $0 > 0 })
    }

    @Test func uniformNumbersLieInTheHalfOpenUnitInterval() {
        var stream = RandomStream(seed: 12, purpose: 0)
        let values = (0..<20_000).map { _ in stream.uniform() }
        #expect(values.allSatisfy { $0 >= 0 && $0 < 1 })
        // Five deviations of the mean of 20,000 values.
        let mean = values.doubles.reduce(0, +) / 20_000
        #expect(abs(mean - 0.5) < 0.0102)
    }
}
