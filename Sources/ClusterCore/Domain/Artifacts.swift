/// What an artifact is to its job.
public enum ArtifactRole: String, Codable, Sendable, CaseIterable {
    /// The source photograph, or a material's albedo, as submitted: PNG or JPEG.
    case exemplar
    /// The whole exemplar expanded at an iteration: PNG.
    case snapshot
    /// The trainer's complete state: safetensors.
    case checkpoint
    /// The trained network: safetensors.
    case generator
    /// The generator's adversary, which continued training needs: safetensors.
    case discriminator
    /// A picture that a generator has made: PNG.
    case picture
    /// A generator for other programs: ONNX.
    case model
    /// A map of a material as submitted: PNG or JPEG.
    case map
    /// What joins the maps of a material that a generator has made: MaterialX.
    case material

    /// Whether a person sends it. No worker may offer such a file.
    public var isSubmitted: Bool { self == .exemplar || self == .map }

    /// The file extension of the role, or nil where the content decides (exemplars and their maps).
    public var fileExtension: String? {
        switch self {
        case .exemplar, .map: nil
        case .material: "mtlx"
        case .snapshot, .picture: "png"
        case .model: "onnx"
        case .checkpoint, .generator, .discriminator: "safetensors"
        }
    }
}

/// An immutable file, by digest and size.
package struct Artifact: Sendable, Hashable {
    /// 64 lower-case hexadecimal digits.
    package var sha256: String
    package var sizeBytes: Int

    package init(sha256: String, sizeBytes: Int) {
        self.sha256 = sha256
        self.sizeBytes = sizeBytes
    }
}

/// A checkpoint that the coordinator has stored.
package struct StoredCheckpoint: Sendable, Equatable {
    package var iteration: Int
    package var artifact: Artifact

    package init(iteration: Int, artifact: Artifact) {
        self.iteration = iteration
        self.artifact = artifact
    }
}
