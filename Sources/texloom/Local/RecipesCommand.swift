import ArgumentParser
import TextureGAN

struct RecipesCommand: ParsableCommand, PrintsOnly {
    static let configuration = CommandConfiguration(
        commandName: "recipes", abstract: "Lists the named recipes, or prints one as a file to edit.",
        discussion: "texloom recipes fast > mine.yaml; edit; texloom train photo.jpg --recipe mine.yaml")

    @Argument(help: "The recipe to print in full, every field explained.")
    var name: String?

    func run() throws {
        if let name {
            say(try Recipe(named: name).yaml())
            return
        }
        for recipe in Recipe.named {
            say("\(recipe.name.padding(toLength: 6, withPad: " ", startingAt: 0))  \(recipe.abstract)")
        }
    }
}

extension Recipe {
    /// What tells it from the others, in a line.
    var abstract: String {
        let style = style.map { "style \($0.rawValue)" } ?? "no style loss"
        return "k=\(k.map(String.init) ?? "auto"), ngf=\(generatorWidth), \(residualBlocks) blocks, "
            + "\(iterations) iterations, \(style)"
    }
}
