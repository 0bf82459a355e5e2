import AgentShieldTesting
import Authentication
import Crypto
import JOSE
import OAuth
import SPIFFE
import Synchronization

let issuerName = "https://issuer.example/tenant"
let metadataURL = "https://issuer.example/tenant/.well-known/openid-configuration"
let keysURL = "https://keys.example/jwks"

/// What issuers publish, in a test's hands, and a list of who asked for what.
final class IssuerWeb: Sendable {
    typealias Answer = Result<IssuerDocument, IssuerDocumentError>

    private struct State {
        var answers: [String: Answer] = [:]
        var requests: [IssuerDocumentRequest] = []
        var isHeld = false
    }

    // Guards what the web says and what it was asked.
    private let state = Mutex(State())

    /// A web with one issuer and its keys.
    init(keys: String? = nil) {
        if let keys {
            self[metadataURL] = .text(metadata())
            self[keysURL] = .text(keys)
        }
    }

    subscript(_ url: String) -> Answer? {
        get { state.withLock { $0.answers[url] } }
        set { state.withLock { $0.answers[url] = newValue } }
    }

    var requests: [IssuerDocumentRequest] { state.withLock { $0.requests } }
    var urls: [String] { requests.map(\.url.string) }
    /// How often the issuer's keys were asked for.
    var keyFetches: Int { urls.count { $0 == keysURL } }

    /// Whether fetches begin and do not end.
    var isHeld: Bool {
        get { state.withLock { $0.isHeld } }
        set { state.withLock { $0.isHeld = newValue } }
    }

    var fetch: IssuerKeyring.Fetch {
        { [self] request throws(IssuerDocumentError) in
            state.withLock { $0.requests.append(request) }
            while isHeld {
                if Task.isCancelled { throw .timeout }
                await Task.yield()
            }
            return try (self[request.url.string] ?? .failure(.status(404))).get()
        }
    }
}

extension IssuerWeb.Answer {
    static func text(_ text: String, cacheControl: String? = nil) -> IssuerWeb.Answer {
        .success(IssuerDocument(bytes: Array(text.utf8), cacheControl: cacheControl))
    }
}

func metadata(issuer: String = issuerName, keys: String = keysURL) -> String {
    #"{"issuer":"\#(issuer)","jwks_uri":"\#(keys)","response_types_supported":["id_token"]}"#
}

/// A signing key's public half as a member of a key set.
func jwk(
    _ keyID: String?, _ key: P256.Signing.PrivateKey = P256.Signing.PrivateKey(), adding members: String = ""
) -> String {
    let raw = [UInt8](key.publicKey.rawRepresentation)
    let id = keyID.map { #","kid":"\#($0)""# } ?? ""
    return #"{"kty":"EC","crv":"P-256","x":"\#(Base64URL.encode(raw.prefix(32)))","#
        + #""y":"\#(Base64URL.encode(raw.suffix(32)))"\#(id)\#(members)}"#
}

func keySet(_ keys: String...) -> String { #"{"keys":[\#(keys.joined(separator: ","))]}"# }

/// A keyring with one issuer, its clock and its web.
struct KeyringWorld {
    let clock = ManualClock(UnixTime(seconds: 1_900_000_000))
    let web: IssuerWeb
    let issuer: TrustedIssuer
    let keyring: IssuerKeyring
    let reports = Reports()

    init(_ web: IssuerWeb, others: [TrustedIssuer] = [], issuer: TrustedIssuer? = nil) throws {
        self.web = web
        let first = try issuer ?? TrustedIssuer(issuer: issuerName)
        self.issuer = first
        keyring = try IssuerKeyring(
            [first] + others, now: clock.now, observe: { [reports] in reports.add($0) }, fetch: web.fetch)
    }

    func keys(_ keyID: String?, _ algorithm: JWSAlgorithm = .es256) async throws(IssuerKeyError) -> [String?] {
        try await keyring.keys(of: issuer, keyID: keyID, algorithm: algorithm).map(\.keyID)
    }

    /// Why there is no such key; nil if there is one.
    func refusal(_ keyID: String?, _ algorithm: JWSAlgorithm = .es256) async -> IssuerKeyError? {
        do throws(IssuerKeyError) {
            _ = try await keys(keyID, algorithm)
            return nil
        } catch {
            return error
        }
    }
}

/// What a keyring told its operator.
final class Reports: Sendable {
    // Guards the reports.
    private let list = Mutex<[IssuerKeyReport]>([])

    func add(_ report: IssuerKeyReport) { list.withLock { $0.append(report) } }
    var all: [IssuerKeyReport] { list.withLock { $0 } }
}
