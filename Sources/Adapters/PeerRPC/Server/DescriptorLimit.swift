import Glibc

/// The process's limit of open descriptors.
enum DescriptorLimit {
    /// Raises the soft limit to the hard one. The usual soft limit of 1024 is there for `select`, which nothing here
    /// uses; a connection on a Unix socket takes three descriptors.
    static func raise() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < limit.rlim_max
        else { return }
        limit.rlim_cur = limit.rlim_max
        // A refusal leaves the limit as it was, and connections beyond it wait.
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
