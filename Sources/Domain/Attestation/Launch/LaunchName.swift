/// The name under which a launcher starts a command: what `launch:name` selectors say.
package struct LaunchName: Hashable, Sendable, CustomStringConvertible {
    /// Longest accepted name, in bytes.
    package static let maximumLength = 64

    /// The name itself.
    package let text: String

    /// Letters, digits, dots, underscores and hyphens, beginning with a letter or a digit: the name is part of a
    /// selector, of a directory's name and of audit records, and must be none of their special cases.
    package init(_ text: String) throws(LaunchRefusal) {
        guard let first = text.utf8.first, text.utf8.count <= Self.maximumLength,
            Self.isAlphanumeric(first), text.utf8.allSatisfy(Self.isAllowed)
        else { throw .badName }
        self.text = text
    }

    package var description: String { text }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        isAlphanumeric(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
    }
}

/// Why a launch was not begun.
package enum LaunchRefusal: Error, Hashable {
    /// The name is not 1 to 64 letters, digits, dots, underscores and hyphens that begin with a letter or a digit.
    case badName
    /// The launcher cannot be attested.
    case launcher(WorkloadAttestationError)
    /// The first process is not a running child of the launcher with the launcher's user.
    case notTheLaunchersChild
    /// A launcher has one launch.
    case alreadyLaunching
    /// The user has as many launches as a user may have.
    case tooManyOfUser
    /// The node has as many launches as a node may have.
    case tooMany
    /// The cgroup could not be made or entered; the value is the system's error number.
    case cgroup(Int32)
    /// The launch cannot be taken up again: its cgroup is not there.
    case unknownCgroup

    /// A short word for audit records and tests.
    package var code: String {
        switch self {
        case .badName: "bad_name"
        case .launcher: "launcher_not_attested"
        case .notTheLaunchersChild: "not_the_launchers_child"
        case .alreadyLaunching: "already_launching"
        case .tooManyOfUser: "too_many_of_user"
        case .tooMany: "too_many"
        case .cgroup: "cgroup"
        case .unknownCgroup: "unknown_cgroup"
        }
    }
}

extension LaunchRefusal: CustomStringConvertible {
    package var description: String {
        switch self {
        case .badName:
            "a launch name has 1 to \(LaunchName.maximumLength) letters, digits, dots, underscores and hyphens, "
                + "and begins with a letter or a digit"
        case .launcher(let error): "the launcher was not attested: \(error)"
        case .notTheLaunchersChild: "the process is not a running child of the launcher with the launcher's user"
        case .alreadyLaunching: "this launcher has a launch already"
        case .tooManyOfUser: "the user has too many launches"
        case .tooMany: "the node has too many launches"
        case .cgroup(let code): "the launch's cgroup cannot be used: errno \(code)"
        case .unknownCgroup: "the launch's cgroup is gone"
        }
    }
}
