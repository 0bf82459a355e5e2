extension String {
    /// The text cut and made harmless for an error message: a peer may send long ones, or ones that would forge a
    /// line of a log.
    package var truncatedForMessage: String {
        let limit = 64
        var shown = String.UnicodeScalarView()
        for scalar in unicodeScalars.prefix(limit) {
            shown.append(scalar.isShownAsItIs ? scalar : "\u{FFFD}")
        }
        return unicodeScalars.dropFirst(limit).isEmpty ? String(shown) : String(shown) + "…"
    }
}

extension Unicode.Scalar {
    /// Whether a person who reads a text sees the character as what it is: none that moves a cursor, breaks a line, reorders
    /// letters or has no agreed form.
    package var isShownAsItIs: Bool {
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
        default: true
        }
    }
}
