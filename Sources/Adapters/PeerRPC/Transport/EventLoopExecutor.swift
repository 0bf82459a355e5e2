import NIOCore

/// Runs the tasks of calls on the event loop of their connection, so that a call that never waits for anything else
/// costs no change of threads.
///
/// What blocks, or computes for long, does not belong on it: `offLoop` and task groups on the global executor are for
/// that (docs/decisions/14-own-grpc-transport.md).
final class EventLoopExecutor: TaskExecutor {
    private let loop: any EventLoop

    init(_ loop: any EventLoop) {
        self.loop = loop
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
