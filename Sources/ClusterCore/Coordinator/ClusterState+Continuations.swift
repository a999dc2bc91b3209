// Jobs that begin where a finished one ended.
extension ClusterState {
    /// Why a submission cannot continue the job that it names; nil if each can. The checkpoint belongs to the new job from
    /// its acceptance on, so that the finished one may be deleted.
    func brokenOff(in submissions: [Submission]) -> String? {
        for submission in submissions {
            guard let id = submission.continues, keyedJob(of: submission) == nil else { continue }
            guard let source = job(id) else { return "there is no job \(id) to continue" }
            guard source.state == .finished else {
                return "the job \(id) is \(source.state.rawValue); only a finished job can be continued"
            }
            guard source.kind == submission.kind, isSame(source.inputs, submission.inputs) else {
                return "the job \(id) has another exemplar; a continuation has the same"
            }
            guard !source.checkpoints.isEmpty else {
                return "the last checkpoint of job \(id) is no longer stored; submit a training from the start"
            }
        }
        return nil
    }
}
