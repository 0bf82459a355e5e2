/// A number in 0..<1 from random bytes that were handed in.
enum RandomFraction {
    static func draw(_ randomBytes: (Int) -> [UInt8]) -> Double {
        var bits: UInt64 = 0
        for byte in randomBytes(8).prefix(8) { bits = bits << 8 | UInt64(byte) }
        // 53 bits are what a Double holds exactly.
        return Double(bits >> 11) / Double(UInt64(1) << 53)
    }
}
