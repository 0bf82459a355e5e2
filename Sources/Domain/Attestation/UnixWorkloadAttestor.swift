package import SPIFFE

/// Attests workloads by what the kernel says of their process: the `unix` selectors of SPIRE, and those of launches.
///
/// It blocks: it reads `/proc`, the account database and, with discovery on, whole executables.
package struct UnixWorkloadAttestor: Sendable {
    /// The type of all its selectors.
    package static let selectorType = "unix"

    private let discoverWorkloadPath: Bool
    private let workloadSizeLimit: Int64
    private let now: @Sendable () -> UnixTime
    private let systemd: SystemdUnits?
    private let launches: LaunchTable?
    private let digests = ExecutableDigestCache()
    private let names = AccountNameCache()

    /// - Parameters:
    ///   - discoverWorkloadPath: also make `path` and `sha256` selectors; then an unreadable executable fails.
    ///   - workloadSizeLimit: largest executable to hash, in bytes; 0 means no limit, negative means never hash.
    ///   - systemd: also make the `systemd` selectors of the process's unit.
    ///   - launches: gives processes of launches their `launch` selectors.
    ///   - now: the clock, only used to decide whether a digest or a name may be remembered.
    package init(
        discoverWorkloadPath: Bool, workloadSizeLimit: Int64, systemd: SystemdUnits? = nil,
        launches: LaunchTable? = nil,
        now: @escaping @Sendable () -> UnixTime
    ) {
        self.discoverWorkloadPath = discoverWorkloadPath
        self.workloadSizeLimit = workloadSizeLimit
        self.systemd = systemd
        self.launches = launches
        self.now = now
    }

    /// Attests the process as it is now; do it for every request, since a connection outlives `exec`.
    package func attest(_ process: ProcessReference) throws(WorkloadAttestationError) -> AttestedWorkload {
        let groups = try process.checkUnchanged()
        var selectors = accountSelectors(process, groups: groups, at: now())
        guard readsProcess else { return AttestedWorkload(selectors: selectors, process: process) }
        if discoverWorkloadPath {
            selectors.formUnion(try executableSelectors(process))
        }
        if let systemd { selectors.formUnion(try systemd.selectors(of: process)) }
        if let launches { selectors.formUnion(try launches.selectors(of: process)) }
        // What was read in between is the process's own only if it is still the same process with the same rights.
        guard try process.checkUnchanged() == groups else { throw .credentialsChanged }
        return AttestedWorkload(selectors: selectors, process: process)
    }

    /// The same, if it takes no more than the two small files of `/proc` that never block; nil if it takes more.
    package func attestBriefly(_ process: ProcessReference) throws(WorkloadAttestationError) -> AttestedWorkload? {
        guard !readsProcess else { return nil }
        let groups = try process.checkUnchanged()
        let time = now()
        guard names.holds(user: process.uid, groups: [process.gid] + groups, at: time) else { return nil }
        return AttestedWorkload(selectors: accountSelectors(process, groups: groups, at: time), process: process)
    }

    /// Whether selectors are made of more than user and groups.
    private var readsProcess: Bool {
        discoverWorkloadPath || systemd != nil || (launches?.count ?? 0) > 0
    }

    private func accountSelectors(
        _ process: ProcessReference, groups: [UInt32], at time: UnixTime
    ) -> Set<Selector> {
        var selectors: Set<Selector> = [selector("uid", process.uid), selector("gid", process.gid)]
        if let name = names.user(process.uid, at: time) { selectors.insert(selector("user", name)) }
        if let name = names.group(process.gid, at: time) { selectors.insert(selector("group", name)) }
        for gid in Set(groups) {
            selectors.insert(selector("supplementary_gid", gid))
            if let name = names.group(gid, at: time) { selectors.insert(selector("supplementary_group", name)) }
        }
        return selectors
    }

    /// `path` and `sha256` of the program that runs.
    ///
    /// The path selector says that the program is the file at that path as seen from here. A process in a mount
    /// namespace of its own can put any file at any path of its view; such a path makes no selector.
    private func executableSelectors(_ process: ProcessReference) throws(WorkloadAttestationError) -> Set<Selector> {
        let file = try process.openExecutable()
        let version = try FileVersion(of: file)
        let path = try process.executablePath()
        let isHere = FileVersion(path: path)?.isSameFile(as: version) ?? false
        guard isHere || !path.hasSuffix(" (deleted)") else { throw .executableDeleted }
        var selectors: Set<Selector> = []
        if isHere { selectors.insert(selector("path", path)) }
        if workloadSizeLimit >= 0 {
            let digest = try digests.digest(of: file, version: version, limit: workloadSizeLimit, now: now())
            selectors.insert(selector("sha256", digest))
        }
        // The process may have run another program meanwhile.
        guard try FileVersion(of: process.openExecutable()).isSameFile(as: version),
            try process.executablePath() == path
        else { throw .executableChanged }
        return selectors
    }

    private func selector(_ kind: String, _ value: some CustomStringConvertible) -> Selector {
        Selector(knownType: Self.selectorType, value: "\(kind):\(value)")
    }
}

/// A process that was attested just now. Only ``UnixWorkloadAttestor`` makes it.
package struct AttestedWorkload: Sendable, Hashable {
    /// Everything that the attestor found.
    package let selectors: Set<Selector>
    package let pid: Int32
    package let uid: UInt32
    package let gid: UInt32

    fileprivate init(selectors: Set<Selector>, process: ProcessReference) {
        self.selectors = selectors
        pid = process.pid
        uid = process.uid
        gid = process.gid
    }
}
