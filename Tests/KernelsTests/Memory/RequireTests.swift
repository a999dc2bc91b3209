import TensorChecks
import Testing

@testable import Kernels
@testable import Tensors

/// Wrong shapes end the process, although the module is compiled with -Ounchecked.
@Suite struct RequireTests {
    private static func message(_ result: ExitTest.Result?) throws -> String {
        String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    }

    @Test func tensorsOfDifferentShapesAreRefused() async throws {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let workspace = smallWorkspace()
            let small = Tensor(in: workspace.arena, height: 2, width: 3, channels: 4)
            add(small, to: Tensor(in: workspace.arena, height: 2, width: 3, channels: 5), in: workspace)
        }
        #expect(try Self.message(result).contains("shape [1, 2, 3, 4], expected [1, 2, 3, 5]"))
    }

    @Test func aForkInsideAForkIsRefused() async throws {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let pool = ThreadPool(threads: 2)
            pool.run(blocks: 2) { block in
                if block == 0 { pool.run(blocks: 2) { _ in } }
            }
        }
        #expect(try Self.message(result).contains("ThreadPool.run was called inside itself"))
    }

    @Test func valuesOutsideATensorAreRefused() async throws {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let tensor = Tensor(in: smallWorkspace().arena, height: 2, width: 3, channels: 4)
            print(tensor[1, 3, 0])
        }
        #expect(try Self.message(result).contains("value (1, 3, 0) of a tensor of shape [1, 2, 3, 4]"))
    }

    @Test func convolutionsThatDoNotFitTheirOutputAreRefused() async throws {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let workspace = smallWorkspace()
            let input = Tensor(in: workspace.arena, height: 8, width: 8, channels: 16)
            let output = Tensor(in: workspace.arena, height: 7, width: 8, channels: 16)
            ConvolutionMethod.winograd3x3.forward(
                input: input, padding: Padding(1), weight: workspace.arena.floats(9 * 16 * 16), output: output,
                in: workspace)
        }
        #expect(try Self.message(result).contains("a 3x3 convolution of stride 1 does not turn 8x8 into 7x8"))
    }

    @Test func reflectionBeyondTheImageIsRefused() async throws {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = ConvolutionShape(
                inputHeight: 3, inputWidth: 9, inputChannels: 1, outputChannels: 1, kernelSize: 7,
                padding: Padding(3, .reflect))
        }
        #expect(try Self.message(result).contains("reflection by 3 needs more than 3x9 pixels"))
    }

    @Test func anArenaIsNeverReleasedUpwards() async throws {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let arena = smallWorkspace().arena
            let start = arena.mark
            _ = arena.floats(100)
            let above = arena.mark
            arena.release(to: start)
            arena.release(to: above)
        }
        #expect(try Self.message(result).contains("released to a height above its own"))
    }
}
