import LaunchSystem

/// The signals that a launcher passes on instead of obeying.
enum LaunchSignals {
    /// Descriptor that gives them, once they are taken.
    nonisolated(unsafe) private static var descriptor: Int32 = -1

    /// Takes them. INVARIANT: called once, before anything else in the process changes what signals do.
    static func take() {
        descriptor = launch_take_signals()
    }

    /// `nil` when they were not taken.
    static var taken: Int32? { descriptor >= 0 ? descriptor : nil }
}
