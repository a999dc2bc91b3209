import Foundation

/// Ends with a clear message on a CPU that the build is not for, before it ends in an illegal instruction.
func requireInstructionSet() {
    #if arch(x86_64) && os(Linux)
        guard let info = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8),
            let line = info.split(separator: "\n").first(where: { $0.hasPrefix("flags") })
        else { return }
        let flags = Set(line.split(separator: " "))
        let missing = ["avx2", "fma", "bmi2"].filter { !flags.contains(Substring($0)) }
        if !missing.isEmpty {
            complain(
                "this build needs a CPU with AVX2 and FMA (x86-64-v3, 2013 and later); here \(missing.joined(separator: ", ")) "
                    + "is missing. Build for this machine with TEXLOOM_MARCH=native swift build -c release")
            exit(CommandExit.failed.rawValue)
        }
    #endif
}
