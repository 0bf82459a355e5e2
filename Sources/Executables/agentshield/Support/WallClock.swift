import Glibc
import SPIFFE

/// The clock and the randomness that the executable hands to everything below it.
enum WallClock {
    @Sendable static func now() -> UnixTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UnixTime(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }

    /// From the kernel's generator.
    @Sendable static func randomBytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        if count <= 256 {
            // In one call, which gives up to 256 bytes: all or none.
            bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, written in
                if let start = buffer.baseAddress, getentropy(start, count) == 0 { written = count }
            }
        }
        // A word at a time, and never fewer bytes than were asked for.
        var generator = SystemRandomNumberGenerator()
        while bytes.count < count {
            let word = generator.next()
            withUnsafeBytes(of: word) { bytes.append(contentsOf: $0.prefix(count - bytes.count)) }
        }
        return bytes
    }
}
