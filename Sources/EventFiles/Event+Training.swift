import Foundation
import Imaging

// What TensorBoard shows of a training.
extension Event {
    /// The largest snapshot that an event file takes unchanged, in bytes. The artifacts already have every snapshot in
    /// full; without this bound the event files would double a job's disk use.
    public static let maxPictureBytes = 1 << 20
    /// Pixels of the longer side of a scaled snapshot, which as RGB has at most 768 KiB.
    public static let smallSide = 512

    /// The measurements of an iteration: a scalar for each metric.
    public static func measurements(iteration: Int, unixSeconds: Double, values: [String: Float]) -> Event {
        let tagged = values.filter(\.value.isFinite).map { (tag(ofMetric: $0.key), $0.value) }
        return Event(
            wallTime: unixSeconds, step: iteration,
            .scalars(Dictionary(tagged, uniquingKeysWith: { first, _ in first })))
    }

    /// TensorBoard groups tags by the part before the slash.
    static func tag(ofMetric name: String) -> String {
        for section in ["gradient", "quality"] where name.hasPrefix(section + "_") {
            return "\(section)/\(name.dropFirst(section.count + 1))"
        }
        return name == "learning_rate" || name == "seconds_per_iteration" ? "training/\(name)" : "loss/\(name)"
    }

    /// A snapshot, scaled down if it is large.
    /// - Throws: `.badPicture` if the file cannot be read or is not an image.
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
            throw EventFileError(.badPicture, "the snapshot of iteration \(iteration) is not an image: \(error)")
        }
    }
}
