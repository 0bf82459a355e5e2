/// Powers modulo an odd number, by Montgomery's multiplication. For public values: its time tells its arguments.
struct MontgomeryModulus: Sendable {
    /// Little-endian words; the highest is not zero.
    private let words: [UInt64]
    /// The negative inverse of the lowest word.
    private let inverse: UInt64
    /// The square of R, the power of two above the modulus that has as many words.
    private let squareOfR: [UInt64]

    /// A modulus from its big-endian bytes; `nil` unless it is odd and more than 1.
    init?(_ bytes: some BidirectionalCollection<UInt8>) {
        let words = Self.words(bytes)
        guard let low = words.first, low & 1 == 1, words.count > 1 || low > 1 else { return nil }
        self.words = words
        // Newton: each step doubles the number of right bits, of which 5 are right at the start.
        var inverse = 3 &* low ^ 2
        for _ in 0..<4 { inverse = inverse &* (2 &- low &* inverse) }
        self.inverse = 0 &- inverse
        squareOfR = Self.squareOfR(words, self.inverse)
    }

    /// `base` to the power of `exponent` in `count` big-endian bytes; `nil` if the base is not below the modulus.
    func power(_ base: [UInt8], _ exponent: UInt32, count: Int) -> [UInt8]? {
        var number = Self.words(base)
        guard number.count <= words.count else { return nil }
        number += [UInt64](repeating: 0, count: words.count - number.count)
        guard Self.isLess(number, words) else { return nil }
        let factor = multiply(number, squareOfR)
        guard exponent > 0 else { return nil }
        var result = factor
        for bit in (0..<(31 - exponent.leadingZeroBitCount)).reversed() {
            result = multiply(result, result)
            if exponent >> UInt32(bit) & 1 == 1 { result = multiply(result, factor) }
        }
        var one = [UInt64](repeating: 0, count: words.count)
        one[0] = 1
        return Self.bytes(multiply(result, one), count: count)
    }

    private func multiply(_ left: [UInt64], _ right: [UInt64]) -> [UInt64] {
        Self.multiply(left, right, words, inverse)
    }

    /// left × right ÷ R modulo the modulus. INVARIANT: both are below the modulus and have its number of words.
    private static func multiply(
        _ left: [UInt64], _ right: [UInt64], _ modulus: [UInt64], _ inverse: UInt64
    ) -> [UInt64] {
        let count = modulus.count
        var sum = [UInt64](repeating: 0, count: count + 2)
        for index in 0..<count {
            var carry: UInt64 = 0
            for place in 0..<count { carry = add(left[index], right[place], to: &sum[place], carry) }
            var overflow: Bool
            (sum[count], overflow) = sum[count].addingReportingOverflow(carry)
            sum[count + 1] = overflow ? 1 : 0
            let factor = sum[0] &* inverse
            carry = 0
            for place in 0..<count { carry = add(factor, modulus[place], to: &sum[place], carry) }
            (sum[count], overflow) = sum[count].addingReportingOverflow(carry)
            if overflow { sum[count + 1] += 1 }
            // The lowest word is zero now: shift it out.
            for place in 0...count { sum[place] = sum[place + 1] }
            sum[count + 1] = 0
        }
        var result = Array(sum.prefix(count))
        if sum[count] != 0 || !isLess(result, modulus) { subtract(modulus, from: &result) }
        return result
    }

    /// `target` plus the product plus the carry; gives the new carry.
    @inline(__always)
    private static func add(_ left: UInt64, _ right: UInt64, to target: inout UInt64, _ carry: UInt64) -> UInt64 {
        var (high, low) = left.multipliedFullWidth(by: right)
        let (first, firstOverflow) = low.addingReportingOverflow(target)
        low = first
        if firstOverflow { high &+= 1 }
        let (second, secondOverflow) = low.addingReportingOverflow(carry)
        if secondOverflow { high &+= 1 }
        target = second
        return high
    }

    /// 2 in Montgomery's form, raised to the number of bits of R.
    private static func squareOfR(_ modulus: [UInt64], _ inverse: UInt64) -> [UInt64] {
        let shift = modulus.last?.leadingZeroBitCount ?? 0
        // The highest power of two that has as many bits as the modulus, doubled until it is R, and once more.
        var two = [UInt64](repeating: 0, count: modulus.count)
        two[modulus.count - 1] = 1 << UInt64(63 - shift)
        if !isLess(two, modulus) { subtract(modulus, from: &two) }
        for _ in 0..<(shift + 2) { double(&two, modulus) }
        let exponent = modulus.count * 64
        var result = two
        for bit in (0..<(Int.bitWidth - 1 - exponent.leadingZeroBitCount)).reversed() {
            result = multiply(result, result, modulus, inverse)
            if exponent >> bit & 1 == 1 { double(&result, modulus) }
        }
        return result
    }

    private static func double(_ number: inout [UInt64], _ modulus: [UInt64]) {
        var carry: UInt64 = 0
        for place in number.indices {
            let next = number[place] >> 63
            number[place] = number[place] << 1 | carry
            carry = next
        }
        if carry != 0 || !isLess(number, modulus) { subtract(modulus, from: &number) }
    }

    private static func subtract(_ right: [UInt64], from left: inout [UInt64]) {
        var borrow = false
        for place in left.indices {
            let (first, firstBorrow) = left[place].subtractingReportingOverflow(right[place])
            let (second, secondBorrow) = first.subtractingReportingOverflow(borrow ? 1 : 0)
            left[place] = second
            borrow = firstBorrow || secondBorrow
        }
    }

    private static func isLess(_ left: [UInt64], _ right: [UInt64]) -> Bool {
        for place in left.indices.reversed() where left[place] != right[place] {
            return left[place] < right[place]
        }
        return false
    }

    /// Little-endian words of big-endian bytes, without zero words at the top, at least one.
    private static func words(_ bytes: some BidirectionalCollection<UInt8>) -> [UInt64] {
        var words: [UInt64] = []
        var word: UInt64 = 0
        var shift: UInt64 = 0
        for byte in bytes.reversed() {
            word |= UInt64(byte) << shift
            shift += 8
            if shift == 64 {
                words.append(word)
                word = 0
                shift = 0
            }
        }
        if shift > 0 { words.append(word) }
        while words.count > 1, words.last == 0 { words.removeLast() }
        return words
    }

    private static func bytes(_ words: [UInt64], count: Int) -> [UInt8] {
        (0..<count).reversed().map { place in
            let word = place / 8
            return word < words.count ? UInt8(truncatingIfNeeded: words[word] >> UInt64(8 * (place % 8))) : 0
        }
    }
}
