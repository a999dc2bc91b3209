import ArgumentParser
import TextureGAN

struct RecipesCommand: ParsableCommand {
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
            let style = recipe.style.map { "style \($0.rawValue)" } ?? "no style loss"
            let k = recipe.k.map(String.init) ?? "auto"
            say(
                "\(recipe.name.padding(toLength: 6, withPad: " ", startingAt: 0))  k=\(k), ngf=\(recipe.generatorWidth), "
                    + "\(recipe.residualBlocks) blocks, \(recipe.iterations) iterations, \(style)")
        }
    }
}
