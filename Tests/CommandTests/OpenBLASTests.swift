import Testing

@Suite struct OpenBLASTests {
    /// OpenBLAS rounds by the processor's type, and starts a thread for every processor when it loads.
    @Test func onlyTheReferenceKernelsLoadIt() throws {
        func loads(_ arguments: [String], _ kernels: String? = nil) throws -> Bool {
            let scratch = try ScratchFolder()
            var environment = ["LD_DEBUG": "files"]
            environment["TEXLOOM_CONV"] = kernels
            let result = try TexloomProcess.run(arguments, folder: scratch.url, environment: environment)
            #expect(result.status == 0, "\(arguments): \(result.output)")
            return result.errors.contains("libopenblas")
        }
        let expansion = ["bench", "expand", "--recipe", "draft", "--size", "32", "--repeats", "1"]
        #expect(try !loads(["--version"]) && !loads(expansion))
        #expect(try !loads(["bench", "step", "--recipe", "draft", "--iterations", "1"]))
        // Layers without a fast kernel.
        #expect(try !loads(["bench", "step", "--iterations", "1"] + TinyCluster.recipe(iterations: 10)))
        #expect(try loads(expansion, "reference"))
    }
}
