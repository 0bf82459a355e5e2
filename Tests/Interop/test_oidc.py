"""Relying parties that know OpenID Connect and not SPIFFE: PyJWT and joserfc find our keys by discovery."""

import json
import socket
import ssl
import urllib.error
import urllib.request

import httpx
import jwt
import pytest
from harness.polling import eventually
from harness.web import WebCA
from joserfc import jwk as joserfc_jwk
from joserfc import jwt as joserfc_jwt
from joserfc.errors import JoseError

AUDIENCE = "sts.example.com"
WELL_KNOWN = "/.well-known/openid-configuration"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def provider(start, tmp_path):
    """A trust domain with a short-lived JWT key, whose issuer has a web certificate."""
    ca = WebCA()
    chain, key = ca.certificate(tmp_path, "localhost")
    port = free_port()
    issuer = f"https://localhost:{port}"
    domain = start(
        "oidc.test",
        extra=[
            "-httpsPort", str(port), "-jwtIssuer", issuer, "-caTTL", "24s", "-defaultX509SVIDTTL", "4s",
            "-defaultJWTSVIDTTL", "4s", "-webCertificate", f"{chain}:{key}",
        ],
    )  # fmt: skip
    domain.issuer = issuer
    domain.context = ssl.create_default_context(cadata=ca.pem.decode())
    domain.entry("/weather")
    domain.wait_for_ids("/weather")
    return domain


def token(domain) -> str:
    with domain.workload() as api:
        return api.jwt_svid([AUDIENCE]).svids[0].svid


def discover(domain) -> dict:
    with urllib.request.urlopen(domain.issuer + WELL_KNOWN, context=domain.context, timeout=10) as reply:
        return json.load(reply)


def by_pyjwt(domain, text: str) -> dict:
    document = discover(domain)
    client = jwt.PyJWKClient(document["jwks_uri"], ssl_context=domain.context, cache_keys=False, cache_jwk_set=False)
    return jwt.decode(
        text, client.get_signing_key_from_jwt(text), document["id_token_signing_alg_values_supported"],
        audience=AUDIENCE, issuer=document["issuer"],
    )  # fmt: skip


def by_joserfc(domain, text: str) -> dict:
    document = discover(domain)
    with httpx.Client(verify=domain.context) as web:
        keys = joserfc_jwk.KeySet.import_key_set(web.get(document["jwks_uri"]).json())
    decoded = joserfc_jwt.decode(text, keys, algorithms=document["id_token_signing_alg_values_supported"])
    rules = joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": document["issuer"]}, aud={"essential": True, "value": AUDIENCE}
    )
    rules.validate(decoded.claims)
    return decoded.claims


def test_stock_libraries_validate_tokens_across_a_rotation(provider):
    seen = set()

    def validate() -> bool:
        text = token(provider)
        for judge in (by_pyjwt, by_joserfc):
            claims = judge(provider, text)
            assert claims["sub"] == "spiffe://oidc.test/weather" and claims["iss"] == provider.issuer
        seen.add(jwt.get_unverified_header(text)["kid"])
        return len(seen) >= 2

    eventually(validate, "two keys have signed", within=60)


def test_the_document_is_what_cloud_relying_parties_read(provider):
    with httpx.Client(verify=provider.context) as web:
        reply = web.get(provider.issuer + WELL_KNOWN)
        assert reply.status_code == 200 and reply.headers["content-type"] == "application/json"
        assert reply.headers["cache-control"].startswith("public, max-age=")
        assert reply.json() == {
            "issuer": provider.issuer,
            "jwks_uri": provider.issuer + "/keys",
            "authorization_endpoint": "",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }
        keys = web.get(provider.issuer + "/keys")
        assert keys.headers["cache-control"].startswith("public, max-age=")
        # Keys for tokens only, each with its algorithm, and no `use` unless it is asked for (keycloak/keycloak#43650).
        for key in keys.json()["keys"]:
            assert set(key) == {"kty", "crv", "x", "y", "kid", "alg"} and key["alg"] == "ES256"


def test_only_the_issuers_host_is_answered(provider):
    with httpx.Client(verify=provider.context) as web:
        for path in (WELL_KNOWN, "/keys"):
            for host in ("elsewhere.example", "", "localhost.elsewhere.example"):
                assert web.get(provider.issuer + path, headers={"host": host}).status_code in (400, 421)
            assert web.get(provider.issuer + path, headers={"host": "LOCALHOST"}).status_code == 200
            assert web.head(provider.issuer + path).status_code == 200


def test_a_token_of_another_trust_domain_does_not_validate(provider, start):
    stranger = start("stranger.test", extra=["-jwtIssuer", provider.issuer])
    stranger.entry("/weather")
    stranger.wait_for_ids("/weather")
    with pytest.raises(jwt.PyJWKClientError):
        by_pyjwt(provider, token(stranger))
    with pytest.raises(JoseError):
        by_joserfc(provider, token(stranger))


def test_use_and_further_hosts_when_configured(start, tmp_path):
    domain = start(
        "oidc-use.test", only_server=True,
        extra=["-jwtIssuer", "https://id.example.org", "-oidcSetKeyUse", "-oidcDomain", "localhost"],
    )  # fmt: skip
    context = ssl.create_default_context(cadata=domain.roots_pem.decode())
    url = f"https://localhost:{domain.https.rpartition(':')[2]}"
    with httpx.Client(verify=context) as web:
        assert web.get(url + WELL_KNOWN).json()["jwks_uri"] == "https://id.example.org/keys"
        assert {key["use"] for key in web.get(url + "/keys").json()["keys"]} == {"sig"}


@pytest.mark.parametrize("issuer", [None, "an-issuer-that-is-no-url"])
def test_nothing_to_discover_without_an_issuer_that_is_a_url(start, issuer):
    domain = start("oidc-none.test", only_server=True, extra=["-jwtIssuer", issuer] if issuer else [])
    context = ssl.create_default_context(cadata=domain.roots_pem.decode())
    url = f"https://localhost:{domain.https.rpartition(':')[2]}"
    with httpx.Client(verify=context) as web:
        assert web.get(url + WELL_KNOWN).status_code == 404
        assert web.get(url + "/keys").status_code == 404


def test_the_svid_is_shown_to_whoever_asks_for_no_web_name(provider):
    port = int(provider.issuer.rpartition(":")[2])
    context = ssl.create_default_context(cadata=provider.roots_pem.decode())
    context.check_hostname = False
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        with context.wrap_socket(plain) as tls:
            assert ("URI", "spiffe://oidc.test/spire/server") in tls.getpeercert()["subjectAltName"]
