/// A JSON number (RFC 8259 §6): an exact 64-bit integer, or else a finite IEEE 754 double.
///
/// Integral doubles inside the range of `Int64` are held as integers, so one value has one form and `==` is numeric.
public struct JSONNumber: Sendable, Equatable {
    private enum Storage: Sendable, Equatable {
        case integer(Int64)
        /// INVARIANT: finite, and not an integral value that `Int64` holds.
        case double(Double)
    }

    private let storage: Storage

    /// The largest magnitude up to which a double holds every integer, 2^53; RFC 8785 prints beyond it by double.
    static let largestExactDoubleInteger: Int64 = 1 << 53

    /// An exact integer.
    public init(_ value: Int64) {
        storage = .integer(value)
    }

    /// A finite double; nil for infinities and not-a-number, which JSON cannot express.
    public init?(_ value: Double) {
        guard value.isFinite else { return nil }
        if let integer = Int64(exactly: value) {
            storage = .integer(integer)
        } else {
            storage = .double(value)
        }
    }

    /// The value as integer if it is integral and in range, else nil.
    public var int64: Int64? {
        if case .integer(let value) = storage { value } else { nil }
    }

    /// The value as double; integers beyond 2^53 are rounded to the nearest.
    public var double: Double {
        switch storage {
        case .integer(let value): Double(value)
        case .double(let value): value
        }
    }

    /// Appends the exact form: all digits of an integer, the shortest digits of a double.
    func append(to bytes: inout [UInt8]) {
        switch storage {
        case .integer(let value): ECMAScriptNumber.append(value, to: &bytes)
        case .double(let value): ECMAScriptNumber.append(value, to: &bytes)
        }
    }

    /// Appends the form of RFC 8785 §3.2.2.3, for which every number is a double.
    func appendCanonical(to bytes: inout [UInt8]) {
        switch storage {
        case .integer(let value) where value.magnitude <= UInt64(Self.largestExactDoubleInteger):
            ECMAScriptNumber.append(value, to: &bytes)
        case .integer(let value):
            ECMAScriptNumber.append(Double(value), to: &bytes)
        case .double(let value):
            ECMAScriptNumber.append(value, to: &bytes)
        }
    }
}
