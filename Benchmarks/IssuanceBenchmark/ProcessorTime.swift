#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// What one measurement took.
struct Measurement: Sendable {
    let name: String
    let count: Int
    /// Seconds of processor time of all threads of this process.
    let processor: Double
    /// Seconds on the wall.
    let wall: Double

    /// Milliseconds of processor time per operation.
    var millisecondsEach: Double { processor / Double(count) * 1000 }

    /// Runs the body, which does `count` operations.
    static func take(_ name: String, count: Int, _ body: () async throws -> Void) async rethrows -> Measurement {
        let wall = seconds(CLOCK_MONOTONIC)
        let processor = seconds(CLOCK_PROCESS_CPUTIME_ID)
        try await body()
        return Measurement(
            name: name, count: count, processor: seconds(CLOCK_PROCESS_CPUTIME_ID) - processor,
            wall: seconds(CLOCK_MONOTONIC) - wall)
    }

    /// Milliseconds since 1970.
    static var timeOfDay: Int64 { Int64(seconds(CLOCK_REALTIME) * 1000) }

    private static func seconds(_ clock: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
