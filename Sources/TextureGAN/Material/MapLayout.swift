/// A map of a material: what its samples say of the surface.
public enum MapKind: String, Sendable, CaseIterable {
    /// The colour, sRGB. Every material has it.
    case albedo
    /// Tangent-space normals whose green points up, as in OpenGL and Blender, or down, as in DirectX.
    case normalGL = "normal-gl"
    case normalDX = "normal-dx"
    case roughness, metalness
    case ambientOcclusion = "ao"
    case displacement, opacity

    /// RGB colours, vectors, or one number.
    public var channels: Int {
        switch self {
        case .albedo, .normalGL, .normalDX: 3
        case .roughness, .metalness, .ambientOcclusion, .displacement, .opacity: 1
        }
    }

    public var isNormal: Bool { self == .normalGL || self == .normalDX }

    /// The end of a file's name, as on ambientCG.
    public var fileSuffix: String {
        switch self {
        case .albedo: "Color"
        case .normalGL: "NormalGL"
        case .normalDX: "NormalDX"
        case .roughness: "Roughness"
        case .metalness: "Metalness"
        case .ambientOcclusion: "AmbientOcclusion"
        case .displacement: "Displacement"
        case .opacity: "Opacity"
        }
    }

    /// The name of the map's file in a result.
    /// - Parameter name: the material's.
    public func fileName(of name: String) -> String { "\(name)_\(fileSuffix).png" }
}

/// The maps whose samples are the channels of a picture, in their order: of the exemplar, and of what its generator
/// takes and makes. A photograph is a picture of one map, the albedo.
public struct MapLayout: Sendable, Equatable, CustomStringConvertible {
    /// In the order of `MapKind`, the albedo first.
    public let maps: [MapKind]

    /// RGB alone.
    public static let picture = MapLayout(sorted: [.albedo])

    private init(sorted maps: [MapKind]) { self.maps = maps }

    /// Nil unless the kinds include the albedo, and at most one of each and one of the normals.
    public init?(_ kinds: [MapKind]) {
        guard kinds.contains(.albedo), Set(kinds).count == kinds.count, kinds.count(where: \.isNormal) <= 1 else {
            return nil
        }
        maps = MapKind.allCases.filter(kinds.contains)
    }

    /// From `description`.
    init?(_ text: String) {
        let kinds = text.split(separator: ",", omittingEmptySubsequences: false).map { MapKind(rawValue: String($0)) }
        guard !kinds.contains(nil), let layout = MapLayout(kinds.compactMap { $0 }), layout.description == text else {
            return nil
        }
        self = layout
    }

    /// As files keep it: `albedo,normal-gl,roughness`.
    public var description: String { maps.map(\.rawValue).joined(separator: ",") }

    /// Whether there are maps besides the albedo.
    public var isMaterial: Bool { maps.count > 1 }

    public var channels: Int { maps.reduce(0) { $0 + $1.channels } }

    /// The channels of a map.
    public func range(of kind: MapKind) -> Range<Int>? {
        var first = 0
        for map in maps {
            if map == kind { return first..<first + map.channels }
            first += map.channels
        }
        return nil
    }

    /// The channels of the normals.
    var normals: Range<Int>? { maps.first(where: \.isNormal).flatMap(range) }
}
