import A2A
import JOSE

extension A2AError {
    /// A refusal that came as JSON: by the reason of its ErrorInfo, else by what the binding says.
    init(received message: String?, details: [JSONValue], otherwise kind: Kind, metadata more: [String: String] = [:]) {
        var kind = kind
        var metadata = more
        var violations: [FieldViolation] = []
        for detail in details.prefix(Self.maximumDetails) {
            guard let detail = detail.objectValue, let type = detail["@type"]?.stringValue else { continue }
            if type.hasSuffix("/google.rpc.ErrorInfo"), detail["domain"]?.stringValue == Self.domain {
                if let known = detail["reason"]?.stringValue.flatMap(Kind.init(rawValue:)) { kind = known }
                for (name, value) in (detail["metadata"]?.objectValue?.members ?? []).prefix(Self.maximumDetails) {
                    metadata[name.shown(upTo: 64)] = value.stringValue?.shown(upTo: 256)
                }
            } else if type.hasSuffix("/google.rpc.BadRequest") {
                let list = detail["fieldViolations"]?.arrayValue ?? detail["field_violations"]?.arrayValue ?? []
                violations = list.prefix(Self.maximumDetails).map { violation in
                    FieldViolation(
                        violation.objectValue?["field"]?.stringValue?.shown(upTo: 256) ?? "",
                        violation.objectValue?["description"]?.stringValue?.shown(upTo: 256) ?? "is not valid")
                }
            }
        }
        self.init(kind, message?.shown(upTo: 512), violations: violations, metadata: metadata)
    }

    /// The most that is taken of each list.
    static let maximumDetails = 32
}

extension A2AError.Kind {
    /// By the code of JSON-RPC; `nil` for one that says nothing, such as -32000.
    init?(jsonRPCCode code: Int64) {
        guard code != -32000, let kind = Self.allCases.first(where: { Int64($0.jsonRPCCode) == code }) else {
            return nil
        }
        self = kind
    }

    /// By the status of HTTP, when nothing else says more.
    init(httpStatus status: Int) {
        self =
            switch status {
            case 401: .unauthenticated
            case 403: .permissionDenied
            case 404, 405, 501: .methodNotFound
            case 429: .resourceExhausted
            case 503: .unavailable
            case 400..<500: .invalidRequest
            default: .internalError
            }
    }
}

extension String {
    /// The text cut and made harmless: somebody else wrote it, and people read it.
    func shown(upTo limit: Int) -> String {
        var shown = String.UnicodeScalarView()
        for scalar in unicodeScalars.prefix(limit) { shown.append(scalar.isShownAsItIs ? scalar : "\u{FFFD}") }
        return unicodeScalars.dropFirst(limit).isEmpty ? String(shown) : String(shown) + "…"
    }
}

extension A2AHTTPResponse {
    /// What a refusal of HTTP itself says beside its body.
    var refusalMetadata: [String: String] {
        var metadata: [String: String] = [:]
        if status == 401, let challenge = header("www-authenticate") {
            metadata["www-authenticate"] = challenge.shown(upTo: 512)
        }
        if let pause = header("retry-after") { metadata["retry-after"] = pause.shown(upTo: 32) }
        return metadata
    }
}
