import EventReader
import Foundation
import Imaging
import Testing

@testable import EventFiles

@Suite("Event files")
final class EventFileTests {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("texloom-events-\(UUID().uuidString)")
    var url: URL { folder.appendingPathComponent("run/\(EventFile.name)") }

    deinit { try? FileManager.default.removeItem(at: folder) }

    private func losses(_ step: Int) -> Event {
        Event(wallTime: Double(step) + 0.5, step: step, .scalars(["loss/l1": Float(step) / 8, "loss/style": 3]))
    }

    private func picture(_ step: Int) -> Event {
        Event(
            wallTime: 9, step: step,
            .image(
                tag: "snapshot", Event.Picture(width: 3, height: 2, png: Data([1, 2, UInt8(truncatingIfNeeded: step)])))
        )
    }

    @Test func whatIsWrittenIsReadByAnIndependentReader() throws {
        var file = try EventFile(goingOnWith: url)
        #expect(!FileManager.default.fileExists(atPath: url.path), "nothing to write, no file")
        try file.append([losses(5), picture(300)])
        try file.append([Event(wallTime: .nan, step: 6, .start(note: "attempt 2"))])
        let events = try ReadEvent.all(in: url)
        #expect(events.count == 4)
        #expect(events[0].fileVersion == "brain.Event:2" && events[0].step == 0 && events[0].wallTime == 5.5)
        #expect(events[1].step == 5 && events[1].wallTime == 5.5)
        #expect(events[1].scalars == ["loss/l1": 0.625, "loss/style": 3])
        #expect(events[2].step == 300)
        #expect(
            events[2].images == ["snapshot": .init(width: 3, height: 2, colourSpace: 3, encoded: [1, 2, 44])])
        #expect(events[3].session?.status == 1 && events[3].session?.message == "attempt 2")
        #expect(events[3].wallTime == 0, "no number is no time")
    }

    @Test func aFileIsGoneOnWithWhereItEnded() throws {
        var first = try EventFile(goingOnWith: url)
        try first.append([Event(wallTime: 1, step: 0, .start(note: "attempt 1")), losses(5), losses(10), picture(10)])
        var second = try EventFile(goingOnWith: url)
        #expect(second.lastStep == 10 && second.pictures == [10] && second.note == "attempt 1")
        try second.append([losses(15)])
        #expect(try ReadEvent.all(in: url).map(\.step) == [0, 0, 5, 10, 10, 15])
    }

    @Test func aStartTakesBackWhatWasBeyondIt() throws {
        var file = try EventFile(goingOnWith: url)
        try file.append([losses(5), losses(10), picture(5), picture(10)])
        try file.append([Event(wallTime: 1, step: 6, .start(note: "attempt 2"))])
        for state in [file, try EventFile(goingOnWith: url)] {
            #expect(state.lastStep == 5 && state.pictures == [5] && state.note == "attempt 2")
        }
    }

    /// A crash may end a file at any byte.
    @Test func aTailTornAnywhereIsCutOffAndWrittenAnew() throws {
        var file = try EventFile(goingOnWith: url)
        try file.append([losses(5)])
        let whole = try Data(contentsOf: url).count
        try file.append([losses(10)])
        let bytes = try Data(contentsOf: url)
        for count in whole..<bytes.count {
            try bytes.prefix(count).write(to: url)
            var torn = try EventFile(goingOnWith: url)
            #expect(torn.lastStep == 5)
            try torn.append([losses(10)])
            #expect(try Data(contentsOf: url) == bytes, "torn at byte \(count)")
        }
    }

    @Test func whatFollowsADamagedByteIsWrittenAnew() throws {
        var file = try EventFile(goingOnWith: url)
        try file.append([losses(5)])
        let whole = try Data(contentsOf: url).count
        try file.append([losses(10), losses(15)])
        let bytes = try Data(contentsOf: url)
        for index in whole..<bytes.count {
            var damaged = bytes
            damaged[index] ^= 0x10
            try damaged.write(to: url)
            let read = try EventFile(goingOnWith: url)
            #expect(read.lastStep == 5 || (read.lastStep == 10 && index >= whole + (bytes.count - whole) / 2))
            let kept = try Data(contentsOf: url)
            #expect(kept.count < bytes.count && kept == bytes.prefix(kept.count), "damaged at byte \(index)")
        }
        // A power cut may leave zeros in the place of the lost bytes.
        try (bytes + Data(count: 4096)).write(to: url)
        #expect(try EventFile(goingOnWith: url).lastStep == 15)
        #expect(try Data(contentsOf: url) == bytes)
    }

    @Test func aFileThatSomebodyElseChangedIsLeftAlone() throws {
        var file = try EventFile(goingOnWith: url)
        try file.append([losses(5)])
        #expect(file.isAsLeft)
        try FileManager.default.removeItem(at: url)
        #expect(!file.isAsLeft)
        let error = #expect(throws: EventFileError.self) { try file.append([self.losses(10)]) }
        #expect(error?.code == .changed)
        var other = try EventFile(goingOnWith: url)
        try other.append([losses(5), losses(10)])
        #expect(try ReadEvent.all(in: url).map(\.step) == [0, 5, 10])
    }

    @Test func aFileThatCannotBeWrittenSaysWhichAndWhy() throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try Data([1]).write(to: folder.appendingPathComponent("run"))
        var file = try EventFile(goingOnWith: url)
        let error = #expect(throws: EventFileError.self) { try file.append([self.losses(10)]) }
        #expect(error?.code == .fileSystem && error?.message.contains("run/\(EventFile.name)") == true)
    }

    // MARK: What a training looks like

    @Test func metricsGetTheirSections() {
        let event = Event.measurements(
            iteration: 7, unixSeconds: 2,
            values: [
                "l1": 1, "gradient_l1": 2, "quality_gram": 3, "learning_rate": 4, "seconds_per_iteration": 5,
                "style": .nan, "adversarial": .infinity,
            ])
        #expect(
            event
                == Event(
                    wallTime: 2, step: 7,
                    .scalars([
                        "loss/l1": 1, "gradient/l1": 2, "quality/gram": 3, "training/learning_rate": 4,
                        "training/seconds_per_iteration": 5,
                    ])))
    }

    private func snapshot(_ image: Image) throws -> (png: Data, event: Event) {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let file = folder.appendingPathComponent("snapshot.png")
        let png = try image.png()
        try png.write(to: file)
        return (png, try Event.snapshot(iteration: 50, unixSeconds: 3, file: file))
    }

    @Test func aSmallSnapshotIsKeptByteForByte() throws {
        let (png, event) = try snapshot(Image(width: 20, height: 10, pixels: [UInt8](repeating: 99, count: 600)))
        #expect(
            event
                == Event(
                    wallTime: 3, step: 50, .image(tag: "snapshot", Event.Picture(width: 20, height: 10, png: png))))
    }

    @Test func aLargeSnapshotIsMadeSmaller() throws {
        var state: UInt32 = 1
        let noise = (0..<800 * 600 * 3).map { _ -> UInt8 in
            state = state &* 1_664_525 &+ 1_013_904_223
            return UInt8(state >> 24)
        }
        let (png, event) = try snapshot(Image(width: 800, height: 600, pixels: noise))
        #expect(png.count > Event.maxPictureBytes)
        guard case .image(_, let picture) = event.content else {
            Issue.record("\(event) is no image")
            return
        }
        #expect((picture.width, picture.height) == (512, 384) && picture.png.count <= Event.maxPictureBytes)
        #expect(try Image(decoding: picture.png, name: "it").width == 512)
    }

    @Test func aSnapshotThatIsNoImageIsRefused() throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let file = folder.appendingPathComponent("snapshot.png")
        for bytes in [nil, Data("no image".utf8)] {
            try bytes?.write(to: file)
            let error = #expect(throws: EventFileError.self) {
                try Event.snapshot(iteration: 50, unixSeconds: 3, file: file)
            }
            #expect(error?.code == .badPicture && error?.message.contains("iteration 50") == true)
        }
    }
}
