extension String {
    /// The text cut and made harmless for an error message: a peer may send long ones, or ones that would forge a
    /// line of a log.
    package var truncatedForMessage: String {
        let limit = 64
        var shown = String.UnicodeScalarView()
        for scalar in unicodeScalars.prefix(limit) {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: shown.append("\u{FFFD}")
            default: shown.append(scalar)
            }
        }
        return unicodeScalars.dropFirst(limit).isEmpty ? String(shown) : String(shown) + "…"
    }
}
