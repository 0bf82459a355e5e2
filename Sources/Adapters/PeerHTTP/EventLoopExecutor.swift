package import NIOCore
import NIOPosix

/// Runs a connection's task on the event loop of its channel, as the gRPC transport does with calls.
///
/// On the global executor every request would go from the loop's thread to another and its answer back: wake-ups and switches
/// that cost more than what a small handler does between its waits.
package final class EventLoopExecutor: TaskExecutor {
    private let loop: any EventLoop

    package init(_ loop: any EventLoop) {
        self.loop = loop
    }

    /// On one of the loops that serve connections. A task that yields there comes after what those have to do.
    package static var any: EventLoopExecutor { EventLoopExecutor(MultiThreadedEventLoopGroup.singleton.any()) }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
