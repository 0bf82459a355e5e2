import Glibc

/// One file of a state.
struct DeliveredFile: Equatable {
    let name: String
    let text: String
    let isSecret: Bool

    init(_ name: String, _ text: String, isSecret: Bool = false) {
        self.name = name
        self.text = text
        self.isSecret = isSecret
    }
}

/// A directory whose files change all at once.
///
/// Each state is a directory of its own, `.state-…`. `.current` is a link to the newest, and the files that programs
/// open are links through it. Replacing `.current` by rename swaps all of them in one step. The state before stays
/// until the next change, for programs that are reading it.
struct DeliveryDirectory {
    private let path: String

    private static let current = ".current"
    private static let prefix = ".state-"

    /// Makes the directory when it is not there; refuses one that others can write to.
    init(path: String) throws {
        self.path = path
        if mkdir(path, 0o755) != 0, errno != EEXIST {
            throw CommandFailure("cannot make `\(path)`: \(Self.reason())")
        }
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw CommandFailure("`\(path)` is not a directory")
        }
        guard status.st_uid == geteuid(), status.st_mode & 0o022 == 0 else {
            throw CommandFailure("`\(path)` must belong to this user and be writable by nobody else")
        }
    }

    /// Makes these the files.
    func replace(_ files: [DeliveredFile]) throws {
        let suffix = WallClock.randomBytes(8).map { String($0, radix: 16) }.joined()
        let state = Self.prefix + suffix
        guard mkdir("\(path)/\(state)", 0o755) == 0 else {
            throw CommandFailure("cannot write to `\(path)`: \(Self.reason())")
        }
        for file in files {
            try LocalFile.write(
                Array(file.text.utf8), to: "\(path)/\(state)/\(file.name)", mode: file.isSecret ? 0o600 : 0o644)
        }
        let before = target(of: Self.current)
        try link(Self.current, to: state)
        for file in files where target(of: file.name) != "\(Self.current)/\(file.name)" {
            try link(file.name, to: "\(Self.current)/\(file.name)")
        }
        removeOld(besides: [state, before])
    }

    /// Removes every file, all at once: they are links through `.current`. Whether there were any.
    func clear() -> Bool {
        let hadFiles = unlink("\(path)/\(Self.current)") == 0
        removeOld(besides: [])
        return hadFiles
    }

    /// Makes or replaces a link in one step.
    private func link(_ name: String, to target: String) throws {
        let temporary = "\(path)/.link-\(getpid())"
        unlink(temporary)
        guard symlink(target, temporary) == 0, rename(temporary, "\(path)/\(name)") == 0 else {
            let reason = Self.reason()
            unlink(temporary)
            throw CommandFailure("cannot write `\(path)/\(name)`: \(reason)")
        }
    }

    private func target(of name: String) -> String? {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("\(path)/\(name)", &buffer, buffer.count - 1)
        guard count > 0 else { return nil }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Former states, and links to files that there are no more.
    private func removeOld(besides kept: [String?]) {
        for name in Self.names(in: path) {
            if name.hasPrefix(Self.prefix), !kept.contains(name) {
                for file in Self.names(in: "\(path)/\(name)") { unlink("\(path)/\(name)/\(file)") }
                rmdir("\(path)/\(name)")
            } else if target(of: name) == "\(Self.current)/\(name)", access("\(path)/\(name)", F_OK) != 0 {
                unlink("\(path)/\(name)")
            }
        }
    }

    private static func names(in path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    private static func reason() -> String { String(cString: strerror(errno)) }
}
