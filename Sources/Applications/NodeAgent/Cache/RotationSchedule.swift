import SPIFFE

/// When a credential is replaced: with 45 to 55 % of its life left, spread so that not everything comes at once.
enum RotationSchedule {
    /// Part of life that is left at rotation, at least and at most.
    static let remaining = 0.45...0.55
    /// Life left below which a credential counts as over: nobody could use it.
    static let minimumLife: Int64 = 0

    /// `obtained` is when it was received: certificates are dated back, which would make short ones old at birth.
    /// `random` is in 0..<1.
    static func rotation(obtained: UnixTime, expires: UnixTime, random: Double) -> UnixTime {
        let life = expires.milliseconds(since: obtained)
        guard life > 0 else { return obtained }
        let left = remaining.lowerBound + (remaining.upperBound - remaining.lowerBound) * random
        return expires.adding(milliseconds: -Int64(Double(life) * left))
    }

    /// Milliseconds by which a clock may go back without meaning: certificates are dated back as much.
    static let tolerance: Int64 = 10_000

    /// Whether the clock has been set back since a credential was obtained, so that peers may not accept it yet.
    static func isFromTheFuture(obtained: UnixTime, at time: UnixTime) -> Bool {
        obtained.milliseconds(since: time) > tolerance
    }

    /// Whether a credential may still be handed out.
    static func isUsable(expires: UnixTime, at time: UnixTime) -> Bool {
        expires.milliseconds(since: time) > minimumLife
    }
}
