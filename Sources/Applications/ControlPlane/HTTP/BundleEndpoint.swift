import Hummingbird
import Issuance
import NIOCore
import SPIFFE

/// Our own trust bundle for other trust domains, `/spiffe/bundle` (SPIFFE Federation §5). Authenticated by the server's
/// SVID (`https_spiffe`), or by an operator's certificate for the name that the client asks for (`https_web`).
struct BundleEndpoint: Sendable {
    static let path = "/spiffe/bundle"

    let authorities: Authorities

    func register(on router: Router<HTTPContext>) {
        router.get("spiffe/bundle") { _, _ in
            Response(
                status: .ok,
                // Whoever keeps a bundle longer than it says (`spiffe_refresh_hint`) may refuse what is new.
                headers: [.contentType: "application/json", .cacheControl: "no-cache"],
                body: ResponseBody(byteBuffer: ByteBuffer(bytes: authorities.bundle.spiffeJSON())))
        }
    }
}
