import Foundation
import Imaging
import NNCore
import Testing

@testable import TextureGAN

/// Materials of six maps, small enough for tests.
enum TinyMaterial {
    static let layout = MapLayout([.albedo, .normalGL, .roughness, .metalness, .ambientOcclusion, .displacement])!

    /// Waves: the relief, its slopes as normals, and maps that follow it.
    static func material(width: Int = 32, height: Int = 28) -> Material {
        var pixels: [UInt16] = []
        func sample(_ value: Double) -> UInt16 { UInt16((65535 * min(max(value, 0), 1)).rounded()) }
        for y in 0..<height {
            for x in 0..<width {
                let (u, v) = (Double(x) * 0.6, Double(y) * 0.45)
                let relief = 0.5 + 0.25 * sin(u) + 0.2 * cos(v + 0.3 * u)
                let slope = (0.5 * cos(u), -0.4 * sin(v + 0.3 * u))
                let length = (1 + slope.0 * slope.0 + slope.1 * slope.1).squareRoot()
                pixels += [relief, 0.8 * relief, 0.3].map(sample)
                pixels += [-slope.0 / length, slope.1 / length, 1 / length].map { sample(($0 + 1) / 2) }
                pixels += [1 - relief, 0.2, 0.5 + relief / 2, relief].map(sample)
            }
        }
        return Material(
            name: "waves", layout: layout,
            pixels: DeepImage(width: width, height: height, channels: layout.channels, pixels: pixels),
            depths: [8, 8, 8, 8, 8, 16])
    }
}

@Suite struct MaterialTests {
    @Test func normalsOfEightBitsHaveUnitLengthWithinAStep() {
        var worst: Float = 0
        var turned = 0.0
        for i in 0..<200 {
            for j in 0..<200 {
                let (polar, around) = (Double(i) / 200 * .pi, Double(j) / 100 * .pi)
                let exact = [sin(polar) * cos(around), sin(polar) * sin(around), cos(polar)]
                // Of any length.
                let scale = [0.3, 1, 0.07][(i + j) % 3]
                let stored = exact.map { UInt16(((scale * $0 + 1) / 2 * 65535).rounded()) }
                let normal: (x: UInt8, y: UInt8, z: UInt8) = UnitNormal.samples(of: (stored[0], stored[1], stored[2]))
                let vector = UnitNormal.components(of: (normal.x, normal.y, normal.z))
                worst = max(worst, abs(UnitNormal.length(vector) - 1))
                let product = (0..<3).reduce(0) { $0 + Double(vector[$1]) * exact[$1] }
                let cosine = product / Double(UnitNormal.length(vector))
                turned = max(turned, acos(min(1, cosine)))
            }
        }
        #expect(worst <= 1 / 255)
        // Half a degree: what 8 bits can say.
        #expect(turned < 0.5 * .pi / 180)
    }

    @Test func aVectorWithoutADirectionFacesUp() {
        let normal: (x: UInt16, y: UInt16, z: UInt16) = UnitNormal.samples(of: (32768, 32767, 32768))
        #expect(normal.z == 65535 && abs(Int(normal.x) - 32768) <= 1)
    }

    @Test func mapsAreTakenApartWithTheirBits() {
        let material = TinyMaterial.material()
        let relief: DeepImage? = material.map(.displacement)
        let roughness: Image? = material.map(.roughness)
        #expect(relief?.channels == 1 && roughness?.channels == 1)
        for pixel in [0, 17, 500] {
            let stored = material.pixels.pixels[pixel * 10 + 9]
            #expect(relief?.pixels[pixel] == stored)
            #expect(roughness?.pixels[pixel] == UInt8((Double(material.pixels.pixels[pixel * 10 + 6]) / 257).rounded()))
        }
        #expect((material.map(.opacity) as Image?) == nil)
        // 3 by 2 maps.
        #expect(material.sheet.width == 96 && material.sheet.height == 56)
        #expect(material.sheet.cropped(x: 0, y: 0, width: 32, height: 28) == material.albedo)
        #expect(material.sheet.cropped(x: 64, y: 0, width: 32, height: 28).pixels[3] == roughness?.pixels[1])
    }

    @Test(arguments: [(1500, 8, 1365, 7), (8, 2100, 7, 2048), (1365, 4, 1365, 4)])
    func aLargeSheetIsScaledDownMapByMap(_ width: Int, _ height: Int, _ shownWidth: Int, _ shownHeight: Int) throws {
        let material = TinyMaterial.material(width: width, height: height)
        let sheet = material.sheet
        #expect(sheet.width == 3 * shownWidth && sheet.height == 2 * shownHeight)
        #expect(max(sheet.width, sheet.height) <= 4096)
        let albedo = sheet.cropped(x: 0, y: 0, width: shownWidth, height: shownHeight)
        #expect(albedo == material.albedo.resized(width: shownWidth, height: shownHeight))
        // The last map: displacement, which is grey.
        let relief: Image? = material.map(.displacement)
        let last = sheet.cropped(x: 2 * shownWidth, y: shownHeight, width: shownWidth, height: shownHeight)
        let small = try #require(relief).resized(width: shownWidth, height: shownHeight)
        let grey = small.pixels.flatMap { [$0, $0, $0] }
        #expect(last == Image(width: shownWidth, height: shownHeight, pixels: grey))
    }

    @Test func aGeneratorsOrderAndGreenAreKept() throws {
        let material = TinyMaterial.material()
        let wanted = try #require(MapLayout([.albedo, .normalDX, .displacement]))
        let (arranged, notes) = try material.arranged(as: wanted)
        #expect(notes.count == 3 && notes.contains { $0.contains("roughness is not used") })
        #expect(arranged.depths == [8, 8, 16])
        let (own, new) = (Array(material.pixels.pixels[30..<40]), Array(arranged.pixels.pixels[21..<28]))
        #expect(new == [own[0], own[1], own[2], own[3], 65535 - own[4], own[5], own[9]])
        let back = try arranged.arranged(as: MapLayout([.albedo, .normalGL])!).material
        #expect((back.map(.normalGL) as DeepImage?) == material.map(.normalGL))
        let error = TinyRun.error { _ = try arranged.arranged(as: TinyMaterial.layout) }
        #expect(error?.message.contains("roughness") == true)
    }
}
