package import Logging
package import SPIFFE

/// Writes one line per record to standard error: `time level message key=value …`, or the same as JSON.
package struct LineLogHandler: LogHandler {
    /// How a line looks.
    package enum Format: String, Sendable {
        case text
        case json
    }

    package var logLevel: Logger.Level {
        get { ownLevel ?? level.current }
        set { ownLevel = newValue }
    }
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    private let level: LogLevelSwitch
    private var ownLevel: Logger.Level?
    private let label: String
    private let format: Format
    private let now: @Sendable () -> UnixTime
    private let write: @Sendable (String) -> Void

    /// - Parameter write: takes one whole line without its newline.
    package init(
        label: String, level: LogLevelSwitch, format: Format, now: @escaping @Sendable () -> UnixTime,
        write: @escaping @Sendable (String) -> Void
    ) {
        self.label = label
        self.level = level
        self.format = format
        self.now = now
        self.write = write
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { _, new in new } }
        if let own = event.metadata { all.merge(own) { _, new in new } }
        let fields = all.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") }
        write(line(level: event.level, message: "\(event.message)", fields: fields))
    }

    func line(level: Logger.Level, message: String, fields: [(String, String)]) -> String {
        let time = now().rfc3339
        switch format {
        case .text:
            let details = fields.map { " \($0.0)=\(Self.quoted($0.1))" }.joined()
            return "\(time) \(level.rawValue) \(Self.clean(message))\(details)"
        case .json:
            let members =
                [("time", time), ("level", level.rawValue), ("logger", label), ("message", message)] + fields
            return "{" + members.map { "\(Self.json($0.0)):\(Self.json($0.1))" }.joined(separator: ",") + "}"
        }
    }

    /// A value as it is where that is unmistakable, else in quotes.
    private static func quoted(_ text: String) -> String {
        let special: Set<UInt8> = [UInt8(ascii: "\""), UInt8(ascii: "=")]
        let isPlain = !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && !special.contains($0) }
        return isPlain ? text : json(text)
    }

    /// Text from outside cannot begin a line of its own.
    private static func clean(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? " " : $0 }))
    }

    private static func json(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 0x20 || scalar.value == 0x7f:
                let hex = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
