import ClusterCore
import Protocol

/// The files that a submission names: a photograph, or the maps of a material.
struct SubmittedFiles {
    /// A material has an albedo and at least one other map. texloom knows eight maps and two packed files.
    static let maps = 2...12

    private let exemplars: ExemplarIntake

    init(_ exemplars: ExemplarIntake) { self.exemplars = exemplars }

    /// The inputs of a training: the exemplar, then the maps.
    /// - Throws: `Problem` (422) naming the field, what was found and what was expected.
    func inputs(of job: JobSubmission, at index: Int) throws -> [JobInput] {
        let exemplar = JobInput(
            name: JobInput.exemplar,
            artifact: try artifact(job.exemplarSHA256, "jobs[\(index)].exemplarSHA256"), fileName: job.fileName)
        guard let maps = job.maps else { return [exemplar] }
        return try [exemplar] + inputs(maps, of: job, "jobs[\(index)].maps")
    }

    private func inputs(_ maps: [MapFile], of job: JobSubmission, _ field: String) throws -> [JobInput] {
        let require = RequestCheck(place: field)
        try require(
            Self.maps.contains(maps.count),
            " has \(maps.count) files; expected \(Self.maps.lowerBound)...\(Self.maps.upperBound)")
        var names: Set<String> = []
        for (number, file) in maps.enumerated() {
            let name = JobInput.mapPrefix + file.map
            try require(
                Identifier.isValid(name) && Identifier.isValid(file.map),
                "[\(number)].map is '\(file.map.prefix(64))'; expected the name of a map, such as normal-gl")
            try require(
                names.insert(file.map).inserted,
                "[\(number)].map is '\(file.map)' for the second time; expected it once")
            try require(
                (1...Limits.maxNameBytes).contains(file.fileName.utf8.count) && !file.fileName.utf8.contains(0),
                "[\(number)].fileName has \(file.fileName.utf8.count) bytes; expected 1...\(Limits.maxNameBytes) "
                    + "without U+0000")
        }
        try require(
            maps.contains { $0.map == "albedo" && $0.sha256 == job.exemplarSHA256 },
            " has no albedo with the digest exemplarSHA256; a material's albedo is its exemplar")
        // In one order, so that the same files are the same exemplar.
        return try maps.enumerated().sorted { $0.element.map < $1.element.map }.map { number, file in
            JobInput(
                name: JobInput.mapPrefix + file.map,
                artifact: try artifact(file.sha256, "\(field)[\(number)].sha256"), fileName: file.fileName)
        }
    }

    private func artifact(_ sha256: String, _ field: String) throws -> Artifact {
        guard SHA256Text.isValid(sha256) else {
            throw Problem(.unprocessableContent, "\(field) is not 64 lower-case hexadecimal digits")
        }
        guard let size = try exemplars.size(of: sha256) else {
            throw Problem(
                .unprocessableContent, "\(field) \(sha256) is not stored; send the image to /api/v1/exemplars first")
        }
        return Artifact(sha256: sha256, sizeBytes: size)
    }
}
