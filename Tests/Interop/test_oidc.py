"""Relying parties that know OpenID Connect and not SPIFFE: PyJWT and joserfc find our keys by discovery."""

import json
import socket
import ssl
import time
import urllib.request

import httpx
import jwt
import pytest
from harness.polling import eventually
from harness.ports import free_port
from harness.web import WebCA
from joserfc import jwk as joserfc_jwk
from joserfc import jwt as joserfc_jwt
from joserfc.errors import JoseError

AUDIENCE = "sts.example.com"
WELL_KNOWN = "/.well-known/openid-configuration"


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


def keys_of(domain) -> tuple[dict, dict, int]:
    """The document, the keys, and for how many seconds a relying party may keep these."""
    document = discover(domain)
    with httpx.Client(verify=domain.context) as web:
        reply = web.get(document["jwks_uri"])
    age = int(reply.headers["cache-control"].removeprefix("public, max-age="))
    return document, reply.json(), age


def by_pyjwt(document: dict, keys: dict, text: str) -> dict:
    key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(text)["kid"]]
    return jwt.decode(
        text, key, document["id_token_signing_alg_values_supported"], audience=AUDIENCE, issuer=document["issuer"]
    )  # fmt: skip


def by_joserfc(document: dict, keys: dict, text: str) -> dict:
    decoded = joserfc_jwt.decode(
        text, joserfc_jwk.KeySet.import_key_set(keys), algorithms=document["id_token_signing_alg_values_supported"]
    )
    rules = joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": document["issuer"]}, aud={"essential": True, "value": AUDIENCE}
    )
    rules.validate(decoded.claims)
    return decoded.claims


JUDGES = ((by_pyjwt, KeyError), (by_joserfc, JoseError))
"""Stock libraries, and what each says of a key that it does not have."""


def test_stock_libraries_validate_tokens_across_a_rotation(provider):
    """One relying party keeps the keys of before the rotation for good; another one keeps keys three times as long as it may"""
    document, held, age = keys_of(provider)
    kept, since = held, time.monotonic()
    # PyJWT's own client keeps what it has read for five minutes, and reads again for the sake of a key that it lacks.
    client = jwt.PyJWKClient(document["jwks_uri"], ssl_context=provider.context, cooldown_duration=0)
    first = token(provider)
    old = jwt.get_unverified_header(first)["kid"]
    assert client.get_signing_key_from_jwt(first).key_id == old
    assert old in {key["kid"] for key in held["keys"]} and age >= 1

    def another_key_signs() -> bool:
        nonlocal kept, since
        text = token(provider)
        if time.monotonic() - since > 3 * age:
            _, kept, _ = keys_of(provider)
            since = time.monotonic()
        for judge, _ in JUDGES:
            claims = judge(document, kept, text)
            assert claims["sub"] == "spiffe://oidc.test/weather" and claims["iss"] == provider.issuer
        return jwt.get_unverified_header(text)["kid"] not in {key["kid"] for key in held["keys"]}

    eventually(another_key_signs, "a key signs that was not there at the beginning", within=90)
    new = token(provider)
    _, fresh, _ = keys_of(provider)
    for judge, unknown in JUDGES:
        with pytest.raises(unknown):
            judge(document, held, new)
        assert judge(document, fresh, new)["sub"] == "spiffe://oidc.test/weather", "after the keys were read again"
    assert client.get_signing_key_from_jwt(new).key_id == jwt.get_unverified_header(new)["kid"] != old


def test_a_token_of_the_former_key_validates_after_the_switch(start):
    """The former key stays published: by the keys of before the switch, and by those of after it"""
    domain = start("oidc-switch.test", extra=["-jwtIssuer", "https://localhost"])
    domain.context = ssl.create_default_context(cadata=domain.roots_pem.decode())

    def keys() -> dict:
        with httpx.Client(verify=domain.context) as web:
            reply = web.get(f"https://localhost:{domain.https.rpartition(':')[2]}/keys")
            return reply.json()

    document = {"issuer": "https://localhost", "id_token_signing_alg_values_supported": ["ES256"]}
    domain.entry("/weather")
    domain.wait_for_ids("/weather")
    held, old = keys(), token(domain)
    new = domain.cli_json("localauthority", "jwt", "prepare")["prepared_authority"]["authority_id"]
    domain.cli("localauthority", "jwt", "activate", "-authorityID", new)
    minted = domain.cli_json("jwt", "mint", "-spiffeID", f"{domain.id}/weather", "-audience", AUDIENCE)["svid"]["token"]
    assert jwt.get_unverified_header(minted)["kid"] == new
    after = keys()
    for judge, unknown in JUDGES:
        for known in (held, after):
            assert judge(document, known, old)["sub"] == f"{domain.id}/weather"
        with pytest.raises(unknown):
            judge(document, held, minted)
        assert judge(document, after, minted)["sub"] == f"{domain.id}/weather"


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
    document, keys, _ = keys_of(provider)
    for judge, unknown in JUDGES:
        assert judge(document, keys, token(provider))["iss"] == provider.issuer
        with pytest.raises(unknown):
            judge(document, keys, token(stranger))


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
