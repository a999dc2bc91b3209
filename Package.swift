// swift-tools-version: 6.1
import PackageDescription

/// The instruction set of the build. x86-64-v3 (AVX2 + FMA) is every x86 server since 2015; set
/// TEXLOOM_MARCH to another value clang knows ("native", "x86-64-v4", ...) to build for that one.
/// On other architectures the compiler's default is used.
let march = Context.environment["TEXLOOM_MARCH"] ?? "x86-64-v3"
#if arch(x86_64)
    let machine = ["-Xcc", "-march=\(march)"]
    /// What the program checks when it starts (Sources/texloom/InstructionSet.swift).
    let level: [SwiftSetting] =
        ["x86-64-v3": [.define("TEXLOOM_X86_64_V3")], "x86-64-v4": [.define("TEXLOOM_X86_64_V4")]][march] ?? []
#else
    let machine: [String] = []
    let level: [SwiftSetting] = []
#endif

/// The kernels' own: optimised in debug builds too, where a training step would otherwise take minutes, and without
/// traps. -fno-math-errno lets the compiler vectorise square roots.
func kernels(_ machine: [String]) -> [SwiftSetting] {
    [.unsafeFlags(machine + ["-Xcc", "-fno-math-errno", "-Ounchecked", "-wmo", "-num-threads", "2"])]
}

/// The inner loops a second time, for vectors of AVX-512: chosen when the program starts (docs/decisions/0017).
#if arch(x86_64)
    let wideKernels: [Target] = [
        .target(
            name: "Kernels512", dependencies: ["CProcessor", "Tensors"],
            swiftSettings: kernels(["-Xcc", "-march=x86-64-v4"]))
    ]
#else
    let wideKernels: [Target] = []
#endif

/// The rest of the training core: as fast in debug builds as in release builds, with its traps. It reads files of
/// strangers (docs/decisions/0014).
let checked: [SwiftSetting] = [
    .unsafeFlags(machine + ["-Xcc", "-fno-math-errno", "-O", "-wmo", "-num-threads", "2"])
]

/// Optimised in debug builds too: tests that walk over millions of values in plain loops, and the cluster's decisions,
/// through which the simulation plays many millions of events. Overflow and bounds checks stay.
let optimised: [SwiftSetting] = [.unsafeFlags(["-O", "-wmo", "-num-threads", "2"])]

/// Of a release build's 135 MB, 83 are debug information. The symbol table stays (18 MB): backtraces of a crash name
/// functions by it.
let withoutDebugInformation: [LinkerSetting] = [
    .unsafeFlags(["-Xlinker", "--strip-debug"], .when(platforms: [.linux], configuration: .release))
]

/// The dashboard's files, kept in the executable: a coordinator is one file to install.
let dashboard: [Resource] = [
    "Assets/actions.js", "Assets/charts.js", "Assets/icon.svg", "Assets/live.js", "Assets/log.js", "Assets/page.js",
    "Assets/refresh.js", "Assets/snapshots.js", "Assets/submit.js", "Assets/texloom.css", "Assets/texloom.js",
    "Templates/actions.mustache", "Templates/answer.mustache", "Templates/audit.mustache",
    "Templates/batch.mustache", "Templates/batches.mustache",
    "Templates/gallery.mustache",
    "Templates/job-card.mustache", "Templates/job.mustache", "Templates/jobs.mustache", "Templates/layout.mustache",
    "Templates/login.mustache",
    "Templates/overview.mustache", "Templates/pager.mustache", "Templates/picture.mustache",
    "Templates/seed-cards.mustache", "Templates/seeds.mustache", "Templates/submit.mustache",
    "Templates/worker-card.mustache", "Templates/workers.mustache",
].map { .embedInCode("HTTP/Dashboard/\($0)") }

/// Served as it is.
let apiDescription = Resource.embedInCode("HTTP/JSON/openapi.json")

/// Set by scripts/check and CI: a warning in our own code is an error. Not for users, whose compiler may be newer.
let strict: [SwiftSetting] =
    Context.environment["TEXLOOM_STRICT"] == "1" ? [.unsafeFlags(["-warnings-as-errors"])] : []

let package = Package(
    name: "texloom",
    products: [
        .executable(name: "texloom", targets: ["texloom"]),
        .library(name: "NNCore", targets: ["NNCore"]),
        .library(name: "TextureGAN", targets: ["TextureGAN"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // C libraries of the system, and the little C that Swift cannot import.
        .systemLibrary(name: "CZeroMQ"),
        .systemLibrary(name: "CZlib"),
        .target(name: "CPNG", linkerSettings: [.linkedLibrary("png")]),
        .target(name: "CJPEG", linkerSettings: [.linkedLibrary("jpeg")]),
        .target(name: "CLCMS", linkerSettings: [.linkedLibrary("lcms2")]),
        .target(name: "CAffinity"),
        .target(name: "CArguments"),
        .target(name: "CBorrowedClosure"),
        .target(name: "CProcessor"),
        .target(name: "CSpawn"),
        .target(name: "COpenBLAS"),
        .target(name: "CStartWeights", exclude: ["drawn-16.safetensors"]),

        // What the process may use, for all that choose by it.
        .target(name: "Machine", dependencies: ["CAffinity", "OperatingSystem"]),

        // What many modules may import. Base computes only; OperatingSystem asks the system.
        .target(name: "Base"),
        .target(name: "OperatingSystem", dependencies: ["CSpawn"]),

        // The training core.
        .target(
            name: "Tensors", dependencies: ["CBorrowedClosure", "Machine"], swiftSettings: kernels(machine)),
        // One source, which is also Kernels512's.
        .target(name: "Kernels256", dependencies: ["CProcessor", "Tensors"], swiftSettings: kernels(machine)),
        .target(
            name: "Kernels",
            dependencies: ["COpenBLAS", "CProcessor", "Kernels256", "Tensors"]
                + wideKernels.map { .byName(name: $0.name) },
            swiftSettings: kernels(machine)),
        .target(name: "NNCore", dependencies: ["Kernels", "OperatingSystem"], swiftSettings: checked),
        // Keeps its bounds checks: it reads what strangers send.
        .target(name: "Imaging", dependencies: ["CPNG", "CJPEG", "CLCMS", "OperatingSystem"]),
        .target(name: "EventFiles", dependencies: ["Base", "Imaging", "OperatingSystem"], swiftSettings: optimised),
        .target(name: "Plots"),
        .target(
            name: "TextureGAN",
            dependencies: [
                "Base", "NNCore", "Imaging", "CStartWeights", "OperatingSystem",
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: checked),

        // The cluster. Every decision of it, on both sides, as values: no clock, file, socket or wire.
        .target(
            name: "ClusterCore", dependencies: [.product(name: "HeapModule", package: "swift-collections")],
            swiftSettings: optimised),
        .target(
            name: "Protocol",
            dependencies: [
                "Base", "CZlib", "ClusterCore", .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            exclude: ["messages.proto"], swiftSettings: optimised),
        .target(
            name: "Transport",
            dependencies: [
                "Base", "CZeroMQ", "ClusterCore", "OperatingSystem", "Protocol",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: optimised),
        .target(
            name: "Coordinator",
            dependencies: [
                "Base", "ClusterCore", "Transport", "Protocol", "Imaging", "EventFiles", "OperatingSystem", "Plots",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HummingbirdTLS", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Mustache", package: "swift-mustache"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Yams", package: "Yams"),
            ], resources: dashboard + [apiDescription], swiftSettings: optimised),
        .target(
            name: "Worker",
            dependencies: [
                "Base", "ClusterCore", "Machine", "NNCore", "Transport", "Protocol", "TextureGAN", "OperatingSystem",
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: optimised),
        .executableTarget(
            name: "texloom",
            dependencies: [
                "Base", "CArguments", "ClusterCore", "Coordinator", "Worker", "TextureGAN", "NNCore", "Machine",
                "Imaging", "EventFiles",
                "Protocol", "OperatingSystem", "Plots",
                .product(name: "Yams", package: "Yams"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            resources: [.embedInCode("Resources/read_pth.py")], swiftSettings: level,
            linkerSettings: withoutDebugInformation),

        // Replaces malloc in the tests' executable, and in no other.
        .target(name: "CAllocationCount", path: "Tests/CAllocationCount"),
        // Tests mirror the sources.
        .testTarget(name: "MachineTests", dependencies: ["Machine"]),
        .testTarget(name: "BaseTests", dependencies: ["Base"]),
        .testTarget(name: "OperatingSystemTests", dependencies: ["OperatingSystem"]),
        .testTarget(name: "PlotsTests", dependencies: ["Plots"]),
        .target(
            name: "TensorChecks", dependencies: ["Kernels"], path: "Tests/TensorChecks", swiftSettings: optimised),
        .testTarget(
            name: "KernelsTests", dependencies: ["Kernels", "Machine", "TensorChecks", "Tensors"],
            swiftSettings: optimised),
        .testTarget(name: "NNCoreTests", dependencies: ["NNCore", "TensorChecks"], swiftSettings: optimised),
        .target(name: "ImageFixtures", path: "Tests/ImageFixtures"),
        .testTarget(name: "ImagingTests", dependencies: ["Imaging", "ImageFixtures"]),
        .target(name: "EventReader", path: "Tests/EventReader"),
        .testTarget(name: "EventFilesTests", dependencies: ["Base", "EventFiles", "EventReader", "Imaging"]),
        .testTarget(
            name: "TextureGANTests",
            dependencies: [
                "TextureGAN", "CAllocationCount", "ImageFixtures", .product(name: "Crypto", package: "swift-crypto"),
            ],
            exclude: ["Fixtures"],
            swiftSettings: optimised),
        .target(
            name: "ClusterFixtures", dependencies: ["ClusterCore"], path: "Tests/ClusterFixtures",
            swiftSettings: optimised),
        .testTarget(name: "ClusterCoreTests", dependencies: ["ClusterCore", "ClusterFixtures", "Protocol"]),
        .testTarget(
            name: "ProtocolTests", dependencies: ["ClusterCore", "ClusterFixtures", "Protocol"], exclude: ["Fixtures"]),
        .testTarget(name: "TransportTests", dependencies: ["ClusterCore", "ClusterFixtures", "Transport", "CZeroMQ"]),
        .testTarget(
            name: "CoordinatorTests",
            dependencies: ["ClusterCore", "ClusterFixtures", "Coordinator", "EventReader", "ImageFixtures"],
            exclude: ["Fixtures"]),
        .testTarget(name: "WorkerTests", dependencies: ["ClusterCore", "Machine", "Worker"]),
        .testTarget(
            name: "FuzzTests",
            dependencies: [
                "ClusterCore", "ClusterFixtures", "NNCore", "Imaging", "ImageFixtures", "TextureGAN", "Protocol",
                "Transport", "Coordinator", "Worker",
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: optimised),
        .testTarget(
            name: "SimulationTests", dependencies: ["ClusterCore", "ClusterFixtures", "Protocol"],
            swiftSettings: optimised),
        .testTarget(
            name: "CommandTests",
            dependencies: [
                "texloom", "ClusterCore", "Imaging", "ImageFixtures", "NNCore", "Protocol", "EventReader",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
            ]),
    ],
    swiftLanguageModes: [.v6]
)
package.targets += wideKernels

for target in package.targets where target.type != .system {
    target.swiftSettings = (target.swiftSettings ?? []) + strict
}
