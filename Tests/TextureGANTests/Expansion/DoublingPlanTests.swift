import Imaging
import Testing

@testable import TextureGAN

@Suite struct DoublingPlanTests {
    @Test(
        "An image is doubled as often as necessary, and once at least",
        arguments: [
            (64, 64, 2048, 2048, 5), (64, 64, 2049, 100, 6), (300, 200, 600, 400, 1), (300, 200, 10, 10, 1),
            (300, 200, 601, 400, 2),
        ])
    func thereAreEnoughDoublings(_ width: Int, _ height: Int, _ wide: Int, _ high: Int, _ expected: Int) throws {
        let plan = try #require(DoublingPlan(reaching: wide, high, fromWidth: width, height: height))
        #expect(plan.doublings == expected && plan.width == wide && plan.height == high)
        let part = plan.size(after: 0)
        #expect(part.width <= width && part.height <= height)
    }

    @Test(arguments: [(2048, 2048), (2047, 1025), (1, 3000), (333, 777)])
    func eachDoublingLeavesAtMostOneColumnAndRowOver(_ width: Int, _ height: Int) throws {
        let plan = try #require(DoublingPlan(reaching: width, height, fromWidth: 100, height: 100))
        #expect(plan.size(after: plan.doublings) == (width, height))
        for doubling in 0..<plan.doublings {
            let (before, after) = (plan.size(after: doubling), plan.size(after: doubling + 1))
            #expect((0...1).contains(2 * before.width - after.width))
            #expect((0...1).contains(2 * before.height - after.height))
        }
    }

    @Test func moreThanTheMostDoublingsAreRefused() {
        #expect(DoublingPlan(reaching: 2560, 10, fromWidth: 10, height: 10)?.doublings == 8)
        #expect(DoublingPlan(reaching: 2561, 10, fromWidth: 10, height: 10) == nil)
    }

    @Test func sharesFollowTheWork() {
        let plan = DoublingPlan(doubling: 10, 20, times: 2)
        #expect(plan.width == 40 && plan.height == 80 && plan.size(after: 1) == (20, 40))
        #expect(plan.share(after: 0, and: 0) == 0 && plan.share(after: 1, and: 1) == 1)
        #expect(plan.share(after: 1, and: 0) == 0.2)
    }

    @Test func theMiddleIsWhatIsLeftByEqualMargins() {
        let image = TinyRun.image(width: 21, height: 16)
        #expect(image.middle(width: 10, height: 4) == image.cropped(x: 5, y: 6, width: 10, height: 4))
        #expect(image.middle(width: 21, height: 16) == image)
    }
}
