import Foundation
import NNCore

/// Ends with a clear message on a CPU that the build is not for, before it ends in an illegal instruction.
func requireInstructionSet() {
    #if arch(x86_64) && os(Linux)
        let flags = cpuFlags()
        if flags.isEmpty { return }
        let missing = ["avx2", "fma", "bmi2"].filter { !flags.contains(Substring($0)) }
        if !missing.isEmpty {
            complain(
                "this build needs a CPU with AVX2 and FMA (x86-64-v3, 2013 and later); here \(missing.joined(separator: ", ")) "
                    + "is missing. Build for this machine with TEXLOOM_MARCH=native swift build -c release")
            exit(CommandExit.failed.rawValue)
        }
    #endif
}

/// Starts the process again with the BLAS kernels of this CPU where OpenBLAS chose those of a much older one.
///
/// An OpenBLAS older than the CPU does not know its model number and falls back on SSE3, at a quarter of the speed or
/// less. It reads OPENBLAS_CORETYPE when it is loaded, which is before anything of ours runs; a value that is set
/// already is the user's and stays.
func requireFittingBLAS() {
    #if arch(x86_64) && os(Linux)
        let variable = "OPENBLAS_CORETYPE"
        let preAVX2 = ["Prescott", "Core2", "Penryn", "Dunnington", "Nehalem", "Sandybridge", "Atom", "unknown"]
        guard getenv(variable) == nil, preAVX2.contains(blasKernels) else { return }
        let flags = cpuFlags()
        guard flags.isSuperset(of: ["avx2", "fma"]) else { return }
        let wide: Set<Substring> = ["avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd"]
        setenv(variable, flags.isSuperset(of: wide) ? "SkylakeX" : "Haswell", 1)
        // If this fails, the slow kernels do.
        execv("/proc/self/exe", CommandLine.unsafeArgv)
        unsetenv(variable)
    #endif
}

#if arch(x86_64) && os(Linux)
    /// What the CPU can do, by the kernel's names; empty if that cannot be read.
    private func cpuFlags() -> Set<Substring> {
        guard let info = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8),
            let line = info.split(separator: "\n").first(where: { $0.hasPrefix("flags") })
        else { return [] }
        return Set(line.split(separator: " "))
    }
#endif
