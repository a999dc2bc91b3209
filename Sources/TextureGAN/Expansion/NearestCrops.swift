import Imaging

/// The crops of an image that are most like a picture, the nearest first.
///
/// The distance is the sum of the squared differences of all samples. A small copy of the image is searched at every
/// place. The best places are then searched again in their surroundings, at twice the scale each time, until the scale is
/// that of the image.
/// - Source: Zhou et al., "Non-stationary Texture Synthesis by Adversarial Expansion", SIGGRAPH 2018.
struct NearestCrops {
    struct Corner: Equatable {
        let x: Int
        let y: Int
    }

    private let levels: [Level]

    /// The image and the picture at a scale.
    private struct Level {
        let image: Image
        let picture: Image

        /// Both at half the scale.
        var smaller: Level { Level(image: image.halved, picture: picture.halved) }

        /// The sum of the squared differences to the crop at a place.
        func distance(_ x: Int, _ y: Int) -> Int {
            let count = 3 * picture.width
            return image.pixels.withUnsafeBufferPointer { image in
                picture.pixels.withUnsafeBufferPointer { picture in
                    var sum = 0
                    for row in 0..<self.picture.height {
                        let (a, b) = (3 * ((y + row) * self.image.width + x), row * count)
                        for index in 0..<count {
                            let difference = Int(image[a + index]) - Int(picture[b + index])
                            sum &+= difference &* difference
                        }
                    }
                    return sum
                }
            }
        }

        var places: [Corner] {
            (0...image.height - picture.height).flatMap { y in
                (0...image.width - picture.width).map { Corner(x: $0, y: y) }
            }
        }
    }

    /// Crops are searched everywhere at a scale at which their longer side has at most this many pixels.
    private static let searchedSide = 64
    /// Both sides keep at least this many.
    private static let leastSide = 8

    /// - Parameter picture: has a crop's size, at most the image's.
    init(in image: Image, like picture: Image) {
        precondition(picture.width <= image.width && picture.height <= image.height)
        var level = Level(image: image, picture: picture)
        var levels = [level]
        while max(level.picture.width, level.picture.height) > Self.searchedSide,
            min(level.picture.width, level.picture.height) >= 2 * Self.leastSide
        {
            level = level.smaller
            levels.append(level)
        }
        self.levels = levels
    }

    /// At most `count` crops, each about a quarter of its sides away from every other one.
    func corners(_ count: Int) -> [Corner] {
        let coarsest = levels[levels.count - 1]
        let places = coarsest.places.map { (place: $0, distance: coarsest.distance($0.x, $0.y)) }
            .enumerated().sorted { ($0.element.distance, $0.offset) < ($1.element.distance, $1.offset) }
        let apart = (x: max(1, coarsest.picture.width / 4), y: max(1, coarsest.picture.height / 4))
        var chosen: [Corner] = []
        for place in places.map(\.element.place) where chosen.count < count {
            if chosen.allSatisfy({ abs($0.x - place.x) >= apart.x || abs($0.y - place.y) >= apart.y }) {
                chosen.append(place)
            }
        }
        let refined = chosen.map { levels.dropLast().reversed().reduce($0) { Self.refined($0, at: $1) } }
        let distances = refined.map { levels[0].distance($0.x, $0.y) }
        return refined.indices.sorted { (distances[$0], $0) < (distances[$1], $1) }.map { refined[$0] }
    }

    /// The best place at a level near a place at half its scale.
    private static func refined(_ corner: Corner, at level: Level) -> Corner {
        func near(_ value: Int, _ last: Int) -> ClosedRange<Int> {
            min(last, max(0, 2 * value - 1))...min(last, 2 * value + 2)
        }
        let rows = near(corner.y, level.image.height - level.picture.height)
        let columns = near(corner.x, level.image.width - level.picture.width)
        let places = rows.flatMap { y in columns.map { Corner(x: $0, y: y) } }
        let distances = places.map { level.distance($0.x, $0.y) }
        let best = places.indices.min { (distances[$0], $0) < (distances[$1], $1) }
        return best.map { places[$0] } ?? corner
    }
}

extension Image {
    /// Means of two by two pixels; an odd last row or column is dropped.
    fileprivate var halved: Image {
        var pixels: [UInt8] = []
        pixels.reserveCapacity(width / 2 * (height / 2) * 3)
        for y in 0..<height / 2 {
            for x in 0..<width / 2 {
                for channel in 0..<3 {
                    let first = 3 * (2 * y * width + 2 * x) + channel
                    let sum =
                        Int(self.pixels[first]) + Int(self.pixels[first + 3]) + Int(self.pixels[first + 3 * width])
                        + Int(self.pixels[first + 3 * width + 3])
                    pixels.append(UInt8((sum + 2) / 4))
                }
            }
        }
        return Image(width: width / 2, height: height / 2, pixels: pixels)
    }

    /// The middle with the proportions of a size, scaled to that size.
    func filling(width: Int, height: Int) -> Image {
        if width == self.width, height == self.height { return self }
        let across = min(self.width, max(1, (self.height * width + height / 2) / height))
        let down = min(self.height, max(1, (self.width * height + width / 2) / width))
        return middle(width: across, height: down).resized(width: width, height: height)
    }
}
