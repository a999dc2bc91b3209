import CProcessor
import Kernels256
import Tensors

#if arch(x86_64)
    import Kernels512
#endif
#if canImport(Glibc)
    import Glibc
#endif

/// The vector instructions that kernels run with. The program is built for both and chooses when it starts; results are
/// the same bytes.
public enum VectorInstructions: String, Sendable, CaseIterable {
    /// Vectors of eight floats; on processors other than x86-64 whatever the compiler makes of them.
    case avx2
    /// Vectors of sixteen floats.
    case avx512

    /// Why this set was not chosen although the environment asks for it.
    public struct Refusal: Error, CustomStringConvertible {
        public let description: String
    }

    /// Forces a set.
    public static let variable = "TEXLOOM_ISA"

    /// The set that a value of `TEXLOOM_ISA` chooses; the widest that the processor runs if there is none.
    public static func choice(
        _ value: String?, runsAVX512: Bool = VectorInstructions.runsAVX512
    ) -> Result<VectorInstructions, Refusal> {
        guard let value, !value.isEmpty else { return .success(runsAVX512 ? .avx512 : .avx2) }
        guard let set = VectorInstructions(rawValue: value) else {
            return .failure(
                Refusal(description: "\(variable)=\(value): expected avx2 or avx512; unset it to let texloom choose"))
        }
        if set == .avx512 && !runsAVX512 {
            return .failure(
                Refusal(
                    description: "\(variable)=avx512: this processor or its operating system does not run AVX-512 "
                        + "(avx512f, bw, cd, dq, vl); unset it or set avx2"))
        }
        return .success(set)
    }

    /// Whether processor and operating system run AVX-512, and this build has kernels for it.
    public static var runsAVX512: Bool {
        #if arch(x86_64)
            texloom_runs_avx512() != 0
        #else
            false
        #endif
    }

    /// The set of this process. Ends it with a message if the environment asks for one that it cannot have.
    public static let current: VectorInstructions = {
        switch choice(getenv(variable).map { String(cString: $0) }) {
        case .success(let set): return set
        case .failure(let refusal):
            let message = "texloom: \(refusal)\n"
            _ = write(STDERR_FILENO, message, message.utf8.count)
            exit(EXIT_FAILURE)
        }
    }()

    /// The kernels of this set. The processor must run it.
    package var kernels: any VectorKernels.Type {
        switch self {
        case .avx2: return Kernels256.Loops.self
        case .avx512:
            #if arch(x86_64)
                return Kernels512.Loops.self
            #else
                fatalError("no AVX-512 on this processor")
            #endif
        }
    }
}

/// The kernels that this process computes with.
let vectorKernels: any VectorKernels.Type = VectorInstructions.current.kernels
