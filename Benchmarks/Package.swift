// swift-tools-version: 6.1
import PackageDescription

let package = Package(
    name: "Benchmarks",
    dependencies: [.package(name: "texloom", path: "..")],
    targets: [
        .executableTarget(
            name: "kernels",
            dependencies: [.product(name: "NNCore", package: "texloom")],
            swiftSettings: [.unsafeFlags(["-Ounchecked"])])
    ],
    swiftLanguageModes: [.v6]
)
