// Speed of the convolution kernels, shape by shape, beside this machine's sgemm in the same seconds.
//
//     swift run -c release kernels [--threads N] [--rounds N] [--filter TEXT] [--json]

import Foundation
import NNCore

var threads = 1
var rounds = 15
var filter = ""
var json = false
var arguments = CommandLine.arguments.dropFirst().makeIterator()
while let argument = arguments.next() {
    switch argument {
    case "--threads": threads = Int(arguments.next() ?? "") ?? threads
    case "--rounds": rounds = Int(arguments.next() ?? "") ?? rounds
    case "--filter": filter = arguments.next() ?? ""
    case "--json": json = true
    default:
        print("usage: kernels [--threads N] [--rounds N] [--filter TEXT] [--json]")
        exit(2)
    }
}

let bench = Bench(workspace: Workspace(threads: threads))

if !json {
    print("\(threads) thread(s), minimum of \(rounds); effective GFLOP/s (share of sgemm's in the same seconds)")
    print(
        "shape".padding(toLength: 34, withPad: " ", startingAt: 0), "sgemm".leftPadded(7),
        ["forward", "input grad", "weight grad"].map { $0.leftPadded(16) }.joined())
}
for benchmark in ConvolutionBenchmark.table where filter.isEmpty || benchmark.name.contains(filter) {
    bench.workspace.arena.scoped {
        let yardstick = bench.sgemm()
        let candidates = benchmark.candidates(bench)
        interleave([yardstick] + candidates.compactMap { $0 }, rounds: rounds)
        if json {
            let results = candidates.compactMap { $0 }.map {
                "\"\($0.name)\": {\"gflops\": \($0.gigaflops), \"ms\": \($0.milliseconds)}"
            }
            print(
                "{\"shape\": \"\(benchmark.name)\", \"threads\": \(threads), \"sgemm\": \(yardstick.gigaflops), "
                    + results.joined(separator: ", ") + "}")
        } else {
            let columns = candidates.map { candidate in
                guard let candidate else { return "-".leftPadded(16) }
                let share = Int((candidate.gigaflops / yardstick.gigaflops * 100).rounded())
                return "\(Int(candidate.gigaflops.rounded())) (\(share) %)".leftPadded(16)
            }
            print(
                benchmark.name.padding(toLength: 34, withPad: " ", startingAt: 0),
                "\(Int(yardstick.gigaflops.rounded()))".leftPadded(7), columns.joined())
        }
    }
}

extension String {
    func leftPadded(_ width: Int) -> String { String(repeating: " ", count: max(0, width - count)) + self }
}
