import JOSE

/// The text that a signature is over (RFC 9421 §2.5).
package enum SignatureBase {
    /// A line for each covered component, then the one with the list itself, all in the form that they are written in.
    ///
    /// - Parameter value: the value of a component; a text with other bytes than visible ASCII, spaces and tabs must not come
    ///   from it.
    package static func text<Failure: Error>(
        of input: InnerList, value: (StructuredItem) throws(Failure) -> String
    ) throws(Failure) -> String {
        var lines: [String] = []
        for item in input.items { lines.append("\(item.serialized): \(try value(item))") }
        lines.append("\"@signature-params\": \(input.serialized)")
        return lines.joined(separator: "\n")
    }
}

/// A part of a message that a signature covers, of the kinds that the profile has: method, path, query and status, and header fields
/// without parameters.
struct SignedComponent: Hashable {
    let name: String
    /// Whether it is of the request that a response answers (RFC 9421 §2.4).
    var isOfRequest = false

    static let method = SignedComponent(name: "@method")
    static let path = SignedComponent(name: "@path")
    static let query = SignedComponent(name: "@query")
    static let status = SignedComponent(name: "@status")

    static func field(_ name: String) -> SignedComponent { SignedComponent(name: MessageFields.key(name)) }

    var ofRequest: SignedComponent { SignedComponent(name: name, isOfRequest: true) }

    var item: StructuredItem {
        StructuredItem(.string(name), StructuredParameters(isOfRequest ? [("req", .boolean(true))] : []))
    }
}

extension SignedComponent {
    /// Reads a component of a peer's list.
    init(_ item: StructuredItem) throws(WorkloadSignatureError) {
        guard case .string(let name) = item.value else { throw .badInput }
        // Up to revision -06 the target was one component, which intermediaries of HTTP/2 cannot rebuild.
        guard name != "@request-target" else { throw .legacyComponent }
        let isDerived = ["@method", "@path", "@query", "@status"].contains(name)
        let isField = !name.isEmpty && name.utf8.allSatisfy(ByteClass.isTokenByte) && MessageFields.key(name) == name
        guard isDerived || isField else { throw .unsupportedComponent(name) }
        self.name = name
        switch item.parameters.entries.count {
        case 0: isOfRequest = false
        case 1 where item.parameters["req"] == .boolean(true): isOfRequest = true
        default: throw .unsupportedComponent(item.serialized)
        }
    }

    /// The value in a request (RFC 9421 §2.1, §2.2).
    func value(in request: WorkloadRequest) throws(WorkloadSignatureError) -> String {
        let value: String? =
            switch self.name {
            case "@method": request.method
            case "@path": request.path
            case "@query": "?" + (request.query ?? "")
            case "@status": nil
            default: request.fields.combined(name)
            }
        return try checked(value)
    }

    /// The value in a response to a request.
    func value(
        in response: WorkloadResponse, to request: WorkloadRequest
    ) throws(WorkloadSignatureError) -> String {
        guard !isOfRequest else { return try value(in: request) }
        switch name {
        case "@status": return String(response.status)
        case "@method", "@path", "@query": throw .absentComponent(name)
        default: return try checked(response.fields.combined(name))
        }
    }

    /// A value that could hold the end of a line could pass for two components.
    private func checked(_ value: String?) throws(WorkloadSignatureError) -> String {
        guard let value else { throw .absentComponent(name) }
        guard value.utf8.allSatisfy({ (0x20...0x7E).contains($0) || $0 == 0x09 }) else { throw .badValue(name) }
        return value
    }
}
