import Testing

@Suite struct OpenBLASTests {
    /// OpenBLAS starts a thread for every processor when it loads.
    @Test func onlyCommandsThatComputeLoadIt() throws {
        func loads(_ arguments: String...) throws -> Bool {
            let scratch = try ScratchFolder()
            let result = try TexloomProcess.run(arguments, folder: scratch.url, environment: ["LD_DEBUG": "files"])
            #expect(result.status == 0, "\(arguments): \(result.output)")
            return result.errors.contains("libopenblas")
        }
        #expect(try !loads("--version") && !loads("recipes"))
        #expect(try loads("bench", "expand", "--recipe", "draft", "--size", "32", "--repeats", "1"))
    }
}
