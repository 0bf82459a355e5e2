import Glibc
import SPIFFE

/// The machine's clock: the one place of the SDK that reads it.
enum WallClock {
    @Sendable static func now() -> UnixTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UnixTime(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }
}
