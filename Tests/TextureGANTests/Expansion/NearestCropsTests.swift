import Imaging
import NNCore
import Testing

@testable import TextureGAN

@Suite struct NearestCropsTests {
    /// Noise of several scales, which differs everywhere.
    private static func image(_ width: Int, _ height: Int) -> Image {
        var stream = RandomStream(seed: 5, purpose: 1)
        let planes = (0..<3).map { _ in
            GradientNoise(from: &stream).values(width: width, height: height)
        }
        return Image(
            width: width, height: height,
            pixels: (0..<3 * width * height).map { UInt8(min(255, max(0, 128 + 60 * planes[$0 % 3][$0 / 3]))) })
    }

    private static func corner(_ x: Int, _ y: Int) -> NearestCrops.Corner { NearestCrops.Corner(x: x, y: y) }

    /// Small crops are searched at the image's scale, large ones at an eighth of it first.
    @Test(
        "A crop of the image is found to the pixel",
        arguments: [(61, 47), (400, 302), (641, 200)], [(0.0, 0.0), (1, 1), (0.37, 0.81), (0.66, 0.12)])
    func aCropOfTheImageIsFoundToThePixel(_ size: (Int, Int), _ place: (Double, Double)) {
        let image = Self.image(size.0, size.1)
        let (width, height) = ((size.0 + 1) / 2, (size.1 + 1) / 2)
        let x = Int(Double(size.0 - width) * place.0)
        let y = Int(Double(size.1 - height) * place.1)
        let picture = image.cropped(x: x, y: y, width: width, height: height)
        let found = NearestCrops(in: image, like: picture).corners(1)
        #expect(found == [Self.corner(x, y)])
    }

    @Test func theNextOnesAreFartherAndApart() throws {
        let image = Self.image(320, 240)
        let picture = image.cropped(x: 41, y: 63, width: 160, height: 120)
        let crops = NearestCrops(in: image, like: picture)
        let corners = crops.corners(6)
        #expect(corners.count == 6 && corners.first == Self.corner(41, 63))
        func distance(_ corner: NearestCrops.Corner) -> Int {
            let crop = image.cropped(x: corner.x, y: corner.y, width: 160, height: 120)
            return zip(crop.pixels, picture.pixels).reduce(0) { sum, pair in
                let difference = Int(pair.0) - Int(pair.1)
                return sum + difference * difference
            }
        }
        let distances = corners.map(distance)
        #expect(distances == distances.sorted() && distances.first == 0)
        // A quarter of the crop is 40 and 30 pixels; each place moves by up to 6 after the choice.
        for (index, one) in corners.enumerated() {
            for other in corners[..<index] {
                #expect(abs(one.x - other.x) >= 40 - 12 || abs(one.y - other.y) >= 30 - 12)
            }
        }
        // The image has room for some tens of crops, not for thousands.
        #expect((9..<100).contains(crops.corners(10_000).count))
    }

    /// A larger copy of a crop, with more around it at two sides, has its middle in the same place.
    @Test func theGuideMayHaveAnySize() throws {
        let image = Self.image(256, 256)
        let part = image.cropped(x: 50, y: 90, width: 128, height: 128)
        let wide = image.cropped(x: 30, y: 90, width: 168, height: 128)
        for picture in [part.resized(width: 300, height: 300), part.resized(width: 51, height: 51), wide] {
            let guide = GuidePicture(name: "g", width: picture.width, height: picture.height, decodingBytes: 0) {
                picture
            }
            let crop = try guide.filling(width: 128, height: 128)
            let found = try #require(NearestCrops(in: image, like: crop).corners(1).first)
            #expect(abs(found.x - 50) <= 1 && abs(found.y - 90) <= 1, "\(found)")
        }
    }
}
