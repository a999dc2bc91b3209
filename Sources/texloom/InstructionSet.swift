import Foundation
import NNCore

/// Ends with a clear message on a CPU that lacks the build's instructions, or those that TEXLOOM_ISA asks for, rather
/// than by an illegal instruction.
func requireInstructionSet() {
    #if arch(x86_64) && os(Linux)
        if let message = InstructionSet.refusal(on: cpuFlags()) {
            complain(message)
            exit(CommandExit.failed.rawValue)
        }
    #endif
    let wish = ProcessInfo.processInfo.environment[VectorInstructions.variable]
    if case .failure(let refusal) = VectorInstructions.choice(wish) {
        complain(refusal.description)
        exit(CommandExit.failed.rawValue)
    }
}

/// The x86-64 level of the build; Package.swift defines it from TEXLOOM_MARCH. A build for another CPU ("native",
/// "znver4") has no level, and is not checked.
enum InstructionSet {
    #if TEXLOOM_X86_64_V4
        static let level = 4
    #elseif TEXLOOM_X86_64_V3
        static let level = 3
    #else
        static let level = 0
    #endif

    /// The flags that each level adds to the one before, by their names in /proc/cpuinfo ("abm" is LZCNT).
    private static let flags: [Int: [Substring]] = [
        3: ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"],
        4: ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"],
    ]

    /// Why a build of this level cannot run on a CPU with these flags; nil if it can, or if the flags are unknown.
    static func refusal(on cpu: Set<Substring>, level: Int = level) -> String? {
        if cpu.isEmpty { return nil }
        let missing = flags.filter { $0.key <= level }.sorted { $0.key < $1.key }.flatMap(\.value)
            .filter { !cpu.contains($0) }
        if missing.isEmpty { return nil }
        return
            "this build needs a CPU of the level x86-64-v\(level) (3: AVX2 and FMA, 2013 and later; 4: AVX-512); here "
            + "\(missing.joined(separator: ", ")) is missing. Build for this machine with TEXLOOM_MARCH=native "
            + "swift build -c release"
    }
}

#if arch(x86_64) && os(Linux)
    /// The CPU's flags by the kernel's names; empty if they cannot be read.
    private func cpuFlags() -> Set<Substring> {
        guard let info = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8),
            let line = info.split(separator: "\n").first(where: { $0.hasPrefix("flags") })
        else { return [] }
        return Set(line.split(separator: " "))
    }
#endif
