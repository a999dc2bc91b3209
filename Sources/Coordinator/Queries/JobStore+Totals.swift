import ClusterCore

extension JobStore {
    /// Total bytes of all artifact records, by role. It reads every record.
    func artifactBytes() async throws -> [ArtifactRole: Int] {
        try await pool.read { db in
            let rows = try StoredRow.all(db, sql: "SELECT kind, SUM(bytes) AS total FROM artifacts GROUP BY kind")
            return try rows.reduce(into: [:]) { totals, row in
                let name: String = try row["kind"]
                if let role = ArtifactRole(rawValue: name) { totals[role] = try row["total"] as Int }
            }
        }
    }
}
