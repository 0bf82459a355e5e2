package import A2A
import SPIFFE
package import SwiftProtobuf

/// The protocol's message; SwiftProtobuf has one of this name too.
package typealias Message = A2A.Message

/// A message of the protocol that has a form on gRPC's wire.
///
/// Both ways say all that the JSON form can say, and take the same defaults for what is missing.
package protocol WireMessage: Sendable, Equatable {
    /// The generated type.
    associatedtype Wire: SwiftProtobuf.Message

    /// Reads what came over the wire; fields that no version of ours knows are ignored.
    init(_ wire: Wire) throws(FieldViolation)

    /// The message for the wire; fails only where JSON is nested deeper than receivers of protobuf read.
    func wire() throws(FieldViolation) -> Wire
}

extension FieldViolation {
    /// The violation as seen from the message around: `text` → `parts[0].text`.
    func inside(_ place: String) -> FieldViolation {
        FieldViolation(field.isEmpty ? place : "\(place).\(field)", problem)
    }

    /// Runs a conversion of the field `name`, whose violations are told with the name before their path. The path comes to be
    /// only when there is a violation.
    static func at<Value>(
        _ name: StaticString, _ convert: () throws(FieldViolation) -> Value
    ) throws(FieldViolation) -> Value {
        do throws(FieldViolation) {
            return try convert()
        } catch {
            throw error.inside("\(name)")
        }
    }

    /// The same for each element of a repeated field.
    static func each<Element, Value>(
        _ name: StaticString, _ elements: [Element], _ convert: (Element) throws(FieldViolation) -> Value
    ) throws(FieldViolation) -> [Value] {
        var values: [Value] = []
        values.reserveCapacity(elements.count)
        for (index, element) in elements.enumerated() {
            do throws(FieldViolation) {
                values.append(try convert(element))
            } catch {
                throw error.inside("\(name)[\(index)]")
            }
        }
        return values
    }
}

extension String {
    /// A text on the wire, where empty means none.
    var unlessEmpty: String? { isEmpty ? nil : self }
}

extension Google_Protobuf_Timestamp {
    // What the type allows: 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z.
    private static let writableSeconds: ClosedRange<Int64> = -62_135_596_800...253_402_300_799

    /// The moment in whole milliseconds, clamped to the years that the type allows.
    init(_ time: UnixTime) {
        self.init()
        seconds = min(max(time.seconds, Self.writableSeconds.lowerBound), Self.writableSeconds.upperBound)
        if seconds == time.seconds { nanos = Int32(time.milliseconds(since: UnixTime(seconds: seconds))) * 1_000_000 }
    }

    /// The moment, cut to milliseconds.
    func time() throws(FieldViolation) -> UnixTime {
        guard Self.writableSeconds.contains(seconds), (0..<1_000_000_000).contains(nanos) else {
            throw FieldViolation("", "is no time between the years 1 and 9999")
        }
        return UnixTime(seconds: seconds).adding(milliseconds: Int64(nanos / 1_000_000))
    }
}

extension TaskState {
    init(_ wire: Lf_A2a_V1_TaskState) throws(FieldViolation) {
        self = try Self.known(wire.rawValue)
    }

    var wire: Lf_A2a_V1_TaskState { .init(rawValue: Int(rawValue)) ?? .unspecified }
}

extension Message.Role {
    init(_ wire: Lf_A2a_V1_Role) throws(FieldViolation) {
        self = try Self.known(wire.rawValue)
    }

    var wire: Lf_A2a_V1_Role { .init(rawValue: Int(rawValue)) ?? .unspecified }
}

extension ProtoEnumeration {
    fileprivate static func known(_ number: Int) throws(FieldViolation) -> Self {
        guard let number = Int32(exactly: number), let value = Self(rawValue: number) else {
            throw FieldViolation("", "is no value that version 1.0 of the protocol knows")
        }
        return value
    }
}
