import Foundation
import NNCore
import OperatingSystem

/// The VGG networks whose features the style loss compares.
public enum FeatureNetwork: String, Sendable, CaseIterable, Codable {
    case vgg16, vgg19

    /// Layers up to the last tap; nil is a pooling layer.
    func layers(taps: Int) -> [(name: String, block: Int)?] {
        let convolutionsPerBlock = self == .vgg16 ? [2, 2, 3, 3, 3] : [2, 2, 4, 4, 4]
        var result: [(name: String, block: Int)?] = []
        for block in 1...taps {
            let count = block == taps ? 1 : convolutionsPerBlock[block - 1]
            for index in 1...count { result.append((name: "conv\(block)_\(index)", block: block)) }
            if block < taps { result.append(nil) }
        }
        return result
    }
}

/// The pixel values on which the weights were trained.
public enum FeatureInput: String, Sendable, CaseIterable, Codable {
    /// RGB in [-1, 1], as the authors of the method feed it.
    case raw
    /// BGR in [0, 255] minus (103.939, 116.779, 123.68).
    case caffe
    /// RGB in [0, 1] minus (0.485, 0.456, 0.406) over (0.229, 0.224, 0.225).
    case torchvision
}

/// The source of feature weights. There is no silent fallback.
public enum FeatureWeights: Sendable {
    case file(URL)
    /// He-normal random weights: for benchmarks, not for pictures.
    case random(seed: UInt64)

    /// The folder of converted weights: `TEXLOOM_WEIGHTS_DIR`, or `texloom/weights` in the user's cache.
    public static var folder: URL {
        let environment = ProcessInfo.processInfo.environment
        if let folder = environment["TEXLOOM_WEIGHTS_DIR"], !folder.isEmpty { return URL(fileURLWithPath: folder) }
        return UserFolder.cache.url(environment: environment).appendingPathComponent("weights", isDirectory: true)
    }

    public static func url(of network: FeatureNetwork) -> URL {
        folder.appendingPathComponent("\(network.rawValue).safetensors")
    }

    /// The converted weights of a network.
    /// - Throws: `TrainingError` with the missing file and the command that makes it.
    public static func installed(_ network: FeatureNetwork) throws(TrainingError) -> FeatureWeights {
        let url = url(of: network)
        guard FileManager.default.fileExists(atPath: url.path) else {
            let command =
                network == .vgg16
                ? "scripts/setup" : "texloom weights --convert path/to/vgg19-dcbb9e9d.pth"
            throw TrainingError(
                .badWeights,
                "the feature weights \(network.rawValue) are not installed (\(url.path) is missing). Run '\(command)', "
                    + "or train without a style loss: --set style=off", isRetryable: true)
        }
        return .file(url)
    }
}
