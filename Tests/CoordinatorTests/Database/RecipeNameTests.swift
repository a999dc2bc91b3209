import Testing

@testable import Coordinator

@Suite struct RecipeNameTests {
    @Test(arguments: [
        ("name: draft\nk: 8", "draft"), ("k: 8\nname: 'a # b' # a comment", "a # b"), ("name: a # a comment", "a"),
        ("name: >-\n  two\n  lines", "two lines"), ("outer:\n  name: inner\nname: outer", "outer"), ("name: 3", "3"),
        (#"name: "caf\u00e9""#, "café"), ("k: 8", "custom"), ("name:", "custom"), ("name: [a]", "custom"),
        ("- name: a", "custom"), ("name: a: b", "custom"), ("", "custom"),
    ])
    func itIsTheTopLevelName(yaml: String, expected: String) {
        #expect(RecipeName.read(from: yaml) == expected)
    }

    @Test func itIsCutToWhatAListShows() {
        #expect(RecipeName.read(from: "name: " + String(repeating: "a", count: 1000)).count == 100)
        // A limit in characters would keep all of it.
        let accents = String(repeating: "\u{301}", count: 100_000)
        #expect(RecipeName.read(from: "name: wood\(accents)") == "woo")
        #expect(RecipeName.read(from: "name: a\(accents)") == "custom")
    }

    @Test func deepNestingIsNoName() {
        #expect(RecipeName.read(from: "name: a\nk: " + String(repeating: "[", count: 100_000)) == "custom")
    }

    @Test func aliasesThatMultiplyHaveNoName() {
        let lines = (1..<22).map { "n\($0): &n\($0) [*n\($0 - 1), *n\($0 - 1)]\n" }
        #expect(RecipeName.read(from: "name: wood\nn0: &n0 [a]\n" + lines.joined() + "? *n21\n: 1\n") == "custom")
    }
}
