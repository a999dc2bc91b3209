import Base
import Foundation
import TextureGAN

/// What `texloom expand` wrote.
struct ExpansionReport: Encodable {
    struct Output: Encodable {
        let file: WrittenPicture
        /// A material's albedo is what its seam was measured on.
        let picture: ExpandedPicture

        private enum CodingKeys: String, CodingKey {
            case path, map, width, height, depth, sha256, seconds
            case seamX = "seam_x"
            case seamY = "seam_y"
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(FileName.readable(file.path), forKey: .path)
            try container.encodeIfPresent(file.map?.rawValue, forKey: .map)
            try container.encode(picture.width, forKey: .width)
            try container.encode(picture.height, forKey: .height)
            try container.encode(file.depth, forKey: .depth)
            try container.encode(file.sha256, forKey: .sha256)
            try container.encode(picture.seconds, forKey: .seconds)
            if picture.axes.contains(.x) { try container.encode(picture.seam?.x, forKey: .seamX) }
            if picture.axes.contains(.y) { try container.encode(picture.seam?.y, forKey: .seamY) }
        }

        /// Size and seams in words.
        var summary: String {
            let size = "\(picture.width)x\(picture.height)"
            guard let seam = picture.seam else { return size }
            let values = [(TorusAxes.x, "x", seam.x), (.y, "y", seam.y)].filter { picture.axes.contains($0.0) }
            let words = values.map { _, name, value in
                "seam \(name) \(value.map { String(format: "%.2f", $0) } ?? "not measured (too small)")"
            }
            return "\(size), \(words.joined(separator: ", "))"
                + (values.contains { ($0.2 ?? 0) > 1 } ? " (above 1: look at the join)" : "")
        }
    }

    let outputs: [Output]
}

/// Progress: one line that is rewritten on a terminal, or a line every half minute elsewhere.
final class ExpansionProgress {
    private let isQuiet: Bool
    private let isTerminal = TerminalFeatures(descriptor: STDOUT_FILENO).canDraw
    private let began = ContinuousClock.now
    private var last: ContinuousClock.Instant
    private var isShown = false

    init(isQuiet: Bool) {
        self.isQuiet = isQuiet
        last = began
    }

    func update(_ share: Double) {
        let now = ContinuousClock.now
        guard !isQuiet, share < 1, now - last > (isTerminal ? .milliseconds(250) : .seconds(30)) else { return }
        last = now
        let seconds = (now - began) / .seconds(1)
        let left = share > 0.01 ? "  \(Readable.duration(seconds / share * (1 - share))) left" : ""
        let line = "\(progressBar(share, width: 24)) \(Readable.wholePercent(share)) %\(left)"
        if isTerminal {
            show("\r\u{1B}[K\(line)")
            isShown = true
        } else {
            say(line)
        }
    }

    /// A result's line replaces the bar.
    func clear() {
        if isShown { show("\r\u{1B}[K") }
        isShown = false
    }
}
