import Foundation
import Imaging

// How a training looks in TensorBoard.
extension Event {
    /// The largest snapshot that is kept as it is, in bytes. Event files come on top of the artifacts, which have every
    /// snapshot in full; without a bound they would double a job's disk use.
    public static let maxPictureBytes = 1 << 20
    /// Pixels of the longer side of a snapshot that is made smaller; as RGB it is then at most 768 KiB.
    public static let smallSide = 512

    /// What was measured at an iteration: a scalar for each metric.
    public static func measurements(iteration: Int, unixSeconds: Double, values: [String: Float]) -> Event {
        let tagged = values.filter(\.value.isFinite).map { (tag(ofMetric: $0.key), $0.value) }
        return Event(
            wallTime: unixSeconds, step: iteration,
            .scalars(Dictionary(tagged, uniquingKeysWith: { first, _ in first })))
    }

    /// TensorBoard makes a section of what stands before a slash.
    static func tag(ofMetric name: String) -> String {
        for section in ["gradient", "quality"] where name.hasPrefix(section + "_") {
            return "\(section)/\(name.dropFirst(section.count + 1))"
        }
        return name == "learning_rate" || name == "seconds_per_iteration" ? "training/\(name)" : "loss/\(name)"
    }

    /// A snapshot, made smaller if it is large.
    /// - Throws: `.badPicture` if the file cannot be read or is no image.
    public static func snapshot(iteration: Int, unixSeconds: Double, file: URL) throws(EventFileError) -> Event {
        do {
            var png = try Image.bytes(of: file)
            let header = try Image.header(of: png, name: file.path)
            var (width, height) = (header.width, header.height)
            if png.count > maxPictureBytes || header.format != .png {
                let small = try Image(decoding: png, name: file.path).thumbnail(longestSide: smallSide)
                (png, width, height) = (try small.png(), small.width, small.height)
            }
            return Event(
                wallTime: unixSeconds, step: iteration,
                .image(tag: "snapshot", Picture(width: width, height: height, png: png)))
        } catch {
            throw EventFileError(.badPicture, "the snapshot of iteration \(iteration) is no image: \(error)")
        }
    }
}
