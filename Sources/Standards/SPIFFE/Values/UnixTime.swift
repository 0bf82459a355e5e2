/// A moment: milliseconds since 1970-01-01T00:00:00Z, without leap seconds. The one time type of the product.
///
/// Arithmetic saturates at the ends of `Int64`, so a time read from outside cannot overflow.
public struct UnixTime: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Milliseconds since the epoch; negative before it.
    public let milliseconds: Int64

    /// A moment by its milliseconds since the epoch.
    public init(milliseconds: Int64) {
        self.milliseconds = milliseconds
    }

    /// A moment by its seconds since the epoch; saturates.
    public init(seconds: Int64) {
        milliseconds = Self.milliseconds(ofSeconds: seconds)
    }

    /// Whole seconds since the epoch, rounded down (also before the epoch).
    public var seconds: Int64 { milliseconds.flooredQuotient(by: 1000) }

    /// The moment so many seconds later.
    public static func + (time: UnixTime, seconds: Int64) -> UnixTime {
        time.adding(milliseconds: milliseconds(ofSeconds: seconds))
    }

    /// The moment so many seconds earlier.
    public static func - (time: UnixTime, seconds: Int64) -> UnixTime {
        let step = milliseconds(ofSeconds: seconds)
        let (sum, overflow) = time.milliseconds.subtractingReportingOverflow(step)
        return UnixTime(milliseconds: overflow ? (step < 0 ? .max : .min) : sum)
    }

    /// The moment so many milliseconds later.
    package func adding(milliseconds step: Int64) -> UnixTime {
        let (sum, overflow) = milliseconds.addingReportingOverflow(step)
        return UnixTime(milliseconds: overflow ? (step < 0 ? .min : .max) : sum)
    }

    /// Milliseconds from an earlier moment to this one; negative when the other is later; saturates.
    package func milliseconds(since earlier: UnixTime) -> Int64 {
        let (difference, overflow) = milliseconds.subtractingReportingOverflow(earlier.milliseconds)
        return overflow ? (milliseconds < 0 ? .min : .max) : difference
    }

    /// Whole seconds from an earlier moment to this one, rounded down.
    package func seconds(since earlier: UnixTime) -> Int64 {
        milliseconds(since: earlier).flooredQuotient(by: 1000)
    }

    /// Order in time.
    public static func < (left: UnixTime, right: UnixTime) -> Bool { left.milliseconds < right.milliseconds }

    /// The RFC 3339 form.
    public var description: String { rfc3339 }

    private static func milliseconds(ofSeconds seconds: Int64) -> Int64 {
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        return overflow ? (seconds < 0 ? .min : .max) : product
    }
}

extension Int64 {
    /// Division that rounds towards minus infinity; the divisor is a positive constant.
    func flooredQuotient(by divisor: Int64) -> Int64 {
        let quotient = self / divisor
        return self % divisor < 0 ? quotient - 1 : quotient
    }
}
