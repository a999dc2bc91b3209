import ArgumentParser
import Protocol
import TextureGAN

struct RecipesCommand: ParsableCommand, PrintsOnly {
    static let configuration = CommandConfiguration(
        commandName: "recipes", abstract: "Lists the named recipes, or prints one as a file to edit.",
        discussion: """
            To write a recipe of your own, edit a named one:

              texloom recipes fast > mine.yaml
              texloom train photo.jpg --recipe mine.yaml

            With --time, says how long each takes on this machine for an exemplar of \(Self.width)x\(Self.height) pixels.
            """)

    /// The size of the exemplar that times are given for: a small photograph.
    static let (width, height) = (600, 400)

    @Argument(help: "The recipe to print in full, every field explained.")
    var name: String?

    @Flag(help: "Measure how long a recipe takes: some steps of each, which takes seconds.")
    var time = false

    @Option(help: "With --time: threads. Default: TEXLOOM_THREADS, or one for each processor that may be used.")
    var threads: Int?

    @Flag(help: "With --time: print JSON.")
    var json = false

    func validate() throws {
        if !time, threads != nil || json {
            throw ValidationError("\(json ? "--json" : "--threads") goes with --time")
        }
        try requireThreads(threads)
    }

    func run() throws {
        let named = try name.map { [try Recipe(named: $0)] }
        guard time else {
            if let named { return say(named[0].yaml()) }
            return Recipe.named.forEach { say($0.line) }
        }
        let threads = try chosenThreads(threads)
        let recipes = (named ?? Recipe.named).lazy.map { recipe in
            (recipe, RecipeTime(measuring: recipe, width: Self.width, height: Self.height, threads: threads))
        }
        if json { return try sayJSON(Array(recipes.map(\.1))) }
        say("An exemplar of \(Self.width)x\(Self.height) pixels takes, \(TrainingTime.place(threads: threads)):")
        for (recipe, time) in recipes {
            say(recipe.line)
            say("        " + (time.expected()?.text ?? time.problem ?? "").printable)
        }
    }
}

extension Recipe {
    fileprivate var line: String { "\(name.padding(toLength: 6, withPad: " ", startingAt: 0))  \(abstract)" }

    /// What it is for and its main differences from the others, in one line.
    var abstract: String {
        let style = style.map { "style \($0.rawValue)" } ?? "no style loss"
        return (purpose.map { "\($0); " } ?? "")
            + "k=\(k.map(String.init) ?? "auto"), ngf=\(generatorWidth), \(residualBlocks) blocks, "
            + "\(iterations) iterations, \(style)"
    }

    /// Each is shown alone in the dashboard's form and in the API.
    private var purpose: String? {
        switch name {
        case "draft": "a first look, elements of up to 30 pixels"
        case "study": "elements of up to 128 pixels"
        case "fast": "elements of up to 128 pixels, sharper"
        case "paper": "the published method"
        default: nil
        }
    }
}
