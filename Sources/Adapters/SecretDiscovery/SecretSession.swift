import SwiftProtobuf

/// What one stream of an Envoy has asked for and been sent: a state machine without sockets.
///
/// The newest request counts, so nothing piles up. A request is an answer to the response whose nonce it bears; one that
/// bears an older nonce was overtaken and is ignored.
struct SecretSession {
    /// Most names in one request.
    static let maximumNames = 1000
    /// Longest name, in bytes: that of a SPIFFE ID.
    static let maximumNameLength = 2048

    /// What a request was.
    enum Receipt: Equatable {
        /// The first one, or one that asks for other secrets than before: needs a response.
        case subscription
        /// Envoy uses what it was sent.
        case acknowledgement
        /// Envoy did not take what it was sent, and says why; it may ask for other secrets in the same breath.
        case rejection(String)
        /// It answers an older response than the last.
        case stale
    }

    /// Why a request ends its stream.
    enum Refusal: Error, Equatable {
        case typeURL
        case tooManyNames
        case nameTooLong
    }

    /// What is asked for now; `nil` before the first request, empty for everything.
    private(set) var names: Set<String>?
    /// Who asks; Envoy says so in the first request only.
    private(set) var node = Envoy_Config_Core_V3_Node()
    private var nonce = ""
    private var version: UInt64 = 0
    private var sent: [SecretResource]?

    /// Whether what is asked for was not sent yet.
    var needsResponse: Bool { names != nil && sent == nil }

    /// Takes a request.
    mutating func receive(_ request: DiscoveryRequest) throws(Refusal) -> Receipt {
        let wanted = try Self.check(request)
        guard nonce.isEmpty || request.responseNonce == nonce else { return .stale }
        if request.hasNode { node = request.node }
        let isNew = names != wanted
        names = wanted
        if isNew { sent = nil }
        if request.hasErrorDetail, !nonce.isEmpty { return .rejection(request.errorDetail.message) }
        return isNew ? .subscription : .acknowledgement
    }

    /// The response with these secrets; `nil` when they are what was sent last, taken or not.
    mutating func respond(_ resources: [SecretResource], nonce: String) -> DiscoveryResponse? {
        guard resources != sent else { return nil }
        sent = resources
        self.nonce = nonce
        version += 1
        return Self.response(resources, version: "\(version)", nonce: nonce)
    }

    /// A response outside of any stream.
    static func response(
        _ resources: [SecretResource], version: String = "", nonce: String = ""
    ) -> DiscoveryResponse {
        .with {
            $0.versionInfo = version
            $0.typeURL = SecretResource.typeURL
            $0.nonce = nonce
            $0.resources = resources.map { resource in
                .with {
                    $0.typeURL = SecretResource.typeURL
                    $0.value = .init(resource.bytes)
                }
            }
        }
    }

    /// The names that a request asks for.
    static func check(_ request: DiscoveryRequest) throws(Refusal) -> Set<String> {
        guard request.typeURL.isEmpty || request.typeURL == SecretResource.typeURL else { throw .typeURL }
        guard request.resourceNames.count <= maximumNames else { throw .tooManyNames }
        guard request.resourceNames.allSatisfy({ $0.utf8.count <= maximumNameLength }) else { throw .nameTooLong }
        return Set(request.resourceNames.filter { !$0.isEmpty })
    }
}

extension SecretSession.Refusal: CustomStringConvertible {
    var description: String {
        switch self {
        case .typeURL: "only secrets of `\(SecretResource.typeURL)` are served"
        case .tooManyNames: "more than \(SecretSession.maximumNames) names"
        case .nameTooLong: "a name is longer than \(SecretSession.maximumNameLength) bytes"
        }
    }
}
