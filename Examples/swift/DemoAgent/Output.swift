import Glibc

/// Lines for whoever watches: each appears at once and whole, also in a pipe.
enum Output {
    /// One line on standard output.
    static func line(_ text: String) {
        write(text + "\n", to: STDOUT_FILENO)
    }

    /// One line on standard error.
    static func error(_ text: String) {
        write("demo-agent: \(text)\n", to: STDERR_FILENO)
    }

    private static func write(_ text: String, to descriptor: Int32) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            // Nobody reads any more: there is nothing to tell.
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
