import Foundation

// libFuzzer's entry point for the Swift readers that need no package. scripts/fuzz builds it with their sources.
@_cdecl("LLVMFuzzerTestOneInput")
public func readFiles(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = start.map { Data(bytes: $0, count: count) } ?? Data()
    for format in [ImageHeader.Format.jpeg, .png] { _ = EXIFOrientation(of: bytes, format) }
    _ = JPEGSegments.profile(in: bytes)
    guard let file = try? Safetensors(bytes, file: "fuzz") else { return 0 }
    _ = file.hasValidChecksum
    for name in file.entries.keys {
        _ = try? file.floats(name)
        _ = try? file.halves(name)
        _ = try? file.doubles(name)
        _ = try? file.bytes(name)
        _ = try? file.integers(name)
    }
    return 0
}
