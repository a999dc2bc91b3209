/// An attempt as messages name it.
package struct AttemptReference: Sendable, Hashable, Comparable {
    package var job: JobID
    /// 1, 2, ... within the job.
    package var number: Int

    package init(job: JobID, number: Int) {
        self.job = job
        self.number = number
    }

    package static func < (a: AttemptReference, b: AttemptReference) -> Bool { (a.job, a.number) < (b.job, b.number) }
}
