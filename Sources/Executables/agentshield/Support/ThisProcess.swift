import Glibc

/// This process.
enum ThisProcess {
    /// Ends without waiting for anything: the answer to a second signal.
    static func endAtOnce() -> Never {
        _exit(1)
    }

    /// The absolute path of the running executable.
    static var executablePath: String? {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        guard count > 0 else { return nil }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
