/// Why a process was not attested. The peer only learns that it has no identity; this goes to log and audit.
package enum WorkloadAttestationError: Error, Hashable {
    /// The kernel named no process, as for a peer in a PID namespace that cannot be seen from here.
    case processUnknown
    /// The process that opened the connection has ended; another one may have its PID by now.
    case processExited
    /// The PID belongs to a process with another start time.
    case processReplaced
    /// User or group ID is not what the kernel said at connect: the process changed it or ran a setuid program.
    case credentialsChanged
    /// The process ran another program while it was looked at.
    case executableChanged
    /// The program's file was removed or replaced since the process started.
    case executableDeleted
    /// The program's file cannot be read; the value is the system's error number.
    case executableUnreadable(Int32)
    /// The program's file is larger than may be hashed.
    case executableTooLarge(size: Int64, limit: Int64)
    /// More supplementary groups than are looked up.
    case tooManyGroups
    /// A file of the process directory cannot be read; the value is the system's error number.
    case procUnreadable(Int32)
    /// A file of the process directory does not have the kernel's form.
    case procMalformed
}

extension WorkloadAttestationError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .processUnknown: "peer process is not visible from here"
        case .processExited: "process has exited"
        case .processReplaced: "process id was reused by another process"
        case .credentialsChanged: "process no longer has the user and group it connected with"
        case .executableChanged: "process ran another executable during attestation"
        case .executableDeleted: "executable was deleted or replaced"
        case .executableUnreadable(let code): "executable cannot be read: errno \(code)"
        case .executableTooLarge(let size, let limit): "executable has \(size) bytes, more than the limit of \(limit)"
        case .tooManyGroups: "process has more than \(ProcessStatus.maximumGroups) supplementary groups"
        case .procUnreadable(let code): "process information cannot be read: errno \(code)"
        case .procMalformed: "process information is malformed"
        }
    }
}
