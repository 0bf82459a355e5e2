"""Stock verifiers find our keys by discovery and accept our access tokens, across a rotation, and no other token."""

import json
import time

import joserfc.jwk
import joserfc.jwt
import jwt
import pytest
from harness import domain as shield
from harness.polling import eventually
from harness.tokens import ACCESS_TOKEN, EXCHANGE, Tokens
from harness.web import WebCA
from jose import jwt as jose_jwt
from jose.exceptions import JOSEError
from joserfc.errors import JoseError
from spiffe import JwtBundle, JwtSvid, TrustDomain
from spiffe.errors import PySpiffeError

PROFILES = {"standard": ("api://desk", "ES256"), "entra": ("api://entra", "RS256")}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A trust domain whose keys take turns within seconds, with a certificate of the web that stays."""
    ca = WebCA()
    chain, key = ca.certificate(tmp_path_factory.mktemp("web"), "localhost")
    domain = shield.start_server(
        "oauth-verifiers.test",
        extra=["-caTTL", "24s", "-defaultX509SVIDTTL", "4s", "-defaultJWTSVIDTTL", "4s", "-webCertificate", f"{chain}:{key}"],
    )
    try:
        tokens = Tokens(domain, roots=ca.pem)
        agent = tokens.agent("caller")
        for profile, (resource, _) in PROFILES.items():
            tokens.resource(resource, "read", profile=profile)
            tokens.grant(agent, resource, "read")
        tokens.caller = agent
        tokens.assertion = {"client_id": agent.client_id, "client_secret": tokens.secret(agent)}
        yield tokens
        assert domain.stop() == [0]
    finally:
        domain.discard()


def access_token(service, resource: str) -> str:
    form = {"grant_type": "client_credentials", "resource": resource, **service.assertion}
    with service.web() as web:
        reply = web.post("/oauth2/token", data=form)
    assert reply.status_code == 200, reply.text
    return reply.json()["access_token"]


def document(service, profile: str) -> dict:
    issuer = service.issuer if profile == "standard" else service.entra_issuer
    with service.web() as web:
        found = web.get(f"{issuer}/.well-known/openid-configuration").json()
    assert found["issuer"] == issuer
    return found


def keys_of(service, document: dict) -> tuple[dict, int]:
    with service.web() as web:
        reply = web.get(document["jwks_uri"])
    return reply.json(), int(reply.headers["cache-control"].removeprefix("public, max-age="))


def by_pyjwt(issuer: str, keys: dict, audience: str, algorithm: str, text: str) -> dict:
    key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(text)["kid"]]
    return jwt.decode(text, key, [algorithm], audience=audience, issuer=issuer)


def by_joserfc(issuer: str, keys: dict, audience: str, algorithm: str, text: str) -> dict:
    decoded = joserfc.jwt.decode(text, joserfc.jwk.KeySet.import_key_set(keys), algorithms=[algorithm])
    rules = joserfc.jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": issuer}, aud={"essential": True, "value": audience}, exp={"essential": True}
    )
    rules.validate(decoded.claims)
    return decoded.claims


def by_python_jose(issuer: str, keys: dict, audience: str, algorithm: str, text: str) -> dict:
    required = {"require_aud": True, "require_exp": True, "require_iss": True}
    return jose_jwt.decode(text, keys, [algorithm], audience=audience, issuer=issuer, options=required)


JUDGES = {
    by_pyjwt: (jwt.PyJWTError, KeyError),
    by_joserfc: (JoseError, ValueError),
    by_python_jose: (JOSEError,),
}
"""Stock libraries, and what each raises for a token or key that it does not like."""


@pytest.mark.parametrize("profile", PROFILES)
def test_every_library_verifies_the_token(service, profile):
    resource, algorithm = PROFILES[profile]
    found = document(service, profile)
    text = access_token(service, resource)
    assert jwt.get_unverified_header(text).keys() >= {"alg", "kid", "typ"}
    for judge, refusals in JUDGES.items():
        keys, _ = keys_of(service, found)
        claims = judge(found["issuer"], keys, resource, algorithm, text)
        assert claims["sub"] == service.caller.spiffe_id and claims["scope"] == "read"
        head, _, signature = text.rpartition(".")
        for wrong in (
            (found["issuer"], keys, "api://another", algorithm, text),
            ("https://elsewhere.example", keys, resource, algorithm, text),
            (found["issuer"], keys, resource, algorithm, f"{head}.{signature[:-6]}AAAAAA"),
        ):
            with pytest.raises(refusals):
                judge(*wrong)


def test_each_document_has_keys_of_one_kind(service):
    """python-jose takes the first key of a set, whatever kind it is"""
    kinds = {}
    for profile, (_, algorithm) in PROFILES.items():
        keys, age = keys_of(service, document(service, profile))
        assert keys["keys"] and age > 0 and {key["alg"] for key in keys["keys"]} == {algorithm}
        assert not any({"d", "p", "q", "k"} & key.keys() for key in keys["keys"])
        kinds[profile] = {key["kid"] for key in keys["keys"]}
    with service.web() as web:
        bundle = web.get("/spiffe/bundle").json()
    svid_keys = {key.get("kid") for key in bundle["keys"]}
    assert not kinds["standard"] & kinds["entra"] and not (kinds["standard"] | kinds["entra"]) & svid_keys


def test_a_token_of_one_issuer_is_none_of_the_other(service):
    found = {profile: document(service, profile) for profile in PROFILES}
    for profile, other in (("standard", "entra"), ("entra", "standard")):
        resource, algorithm = PROFILES[profile]
        text = access_token(service, resource)
        keys, _ = keys_of(service, found[other])
        for judge, refusals in JUDGES.items():
            with pytest.raises(refusals):
                judge(found[profile]["issuer"], keys, resource, algorithm, text)


def test_an_access_token_is_no_jwt_svid(service):
    """To PyPI's `spiffe` with our bundle, and to our own validator"""
    with service.web() as web:
        keys = [key for key in web.get("/spiffe/bundle").json()["keys"] if key["use"] == "jwt-svid"]
    bundle = JwtBundle.parse(TrustDomain(service.domain.name), json.dumps({"keys": keys}).encode())
    svid = service.jwt_svid(service.caller, "api://desk", ttl="4s")
    assert str(JwtSvid.parse_and_validate(svid, bundle, {"api://desk"}).spiffe_id) == service.caller.spiffe_id
    for resource, _ in PROFILES.values():
        with pytest.raises(PySpiffeError):
            JwtSvid.parse_and_validate(access_token(service, resource), bundle, {resource})


def test_a_jwt_svid_is_no_access_token(service):
    for profile, (resource, algorithm) in PROFILES.items():
        found = document(service, profile)
        keys, _ = keys_of(service, found)
        svid = service.jwt_svid(service.caller, resource, ttl="4s")
        for judge, refusals in JUDGES.items():
            with pytest.raises(refusals):
                judge(found["issuer"], keys, resource, algorithm, svid)
        with service.web() as web:
            reply = web.post("/oauth2/introspect", data={"token": svid, **service.assertion})
        assert reply.json() == {"active": False}


def test_tokens_verify_across_a_rotation(service):
    """Who keeps keys for as long as the answer allows never meets a token that it cannot verify"""
    found = {profile: document(service, profile) for profile in PROFILES}
    first, ages = ({profile: keys_of(service, found[profile])[part] for profile in PROFILES} for part in (0, 1))
    held, since = dict(first), dict.fromkeys(PROFILES, time.monotonic())
    changed: set[str] = set()

    def other_keys_sign() -> bool:
        for profile, (resource, algorithm) in PROFILES.items():
            if time.monotonic() - since[profile] > ages[profile]:
                held[profile], since[profile] = keys_of(service, found[profile])[0], time.monotonic()
            text = access_token(service, resource)
            for judge in JUDGES:
                assert judge(found[profile]["issuer"], held[profile], resource, algorithm, text)
            if jwt.get_unverified_header(text)["kid"] not in {key["kid"] for key in first[profile]["keys"]}:
                changed.add(profile)
        return changed == set(PROFILES)

    eventually(other_keys_sign, "keys sign that were not there at the beginning", within=90, every=0.3)
    for profile, (resource, algorithm) in PROFILES.items():
        text = access_token(service, resource)
        for judge, refusals in JUDGES.items():
            with pytest.raises(refusals):
                judge(found[profile]["issuer"], first[profile], resource, algorithm, text)


def test_exchanges_go_on_across_a_rotation(service):
    """A token that the old key signed is exchanged for one of the new key, in both profiles, and no exchange in between fails"""
    desk = service.agent("desk-of-rotation")
    secret = {"client_id": desk.client_id, "client_secret": service.secret(desk)}
    for profile, (resource, _) in PROFILES.items():
        service.resource(f"{resource}-in", "read", profile=profile, agent=desk.client_id)
        service.grant(service.caller, f"{resource}-in", "read")
        service.grant(desk, resource, "read", use="delegated")
    found = {profile: document(service, profile) for profile in PROFILES}
    received = {profile: access_token(service, f"{PROFILES[profile][0]}-in") for profile in PROFILES}
    first = {profile: {key["kid"] for key in keys_of(service, found[profile])[0]["keys"]} for profile in PROFILES}
    across: set[tuple[str, str]] = set()

    def every_way() -> bool:
        for subject in PROFILES:
            held = received[subject]
            if jwt.decode(held, options={"verify_signature": False})["exp"] - time.time() < 2:
                held = received[subject] = access_token(service, f"{PROFILES[subject][0]}-in")
            for target, (resource, algorithm) in PROFILES.items():
                form = {"grant_type": EXCHANGE, "subject_token": held, "subject_token_type": ACCESS_TOKEN, "audience": resource, **secret}
                with service.web() as web:
                    reply = web.post("/oauth2/token", data=form)
                assert reply.status_code == 200, reply.text
                text = reply.json()["access_token"]
                keys, _ = keys_of(service, found[target])
                for judge in JUDGES:
                    claims = judge(found[target]["issuer"], keys, resource, algorithm, text)
                    assert claims["sub"] == service.caller.spiffe_id and claims["act"]["sub"] == desk.spiffe_id
                old, new = jwt.get_unverified_header(held)["kid"], jwt.get_unverified_header(text)["kid"]
                if old in first[subject] and new not in first[target]:
                    across.add((subject, target))
        return len(across) >= 2 and {target for _, target in across} == set(PROFILES)

    eventually(every_way, "tokens of keys from before are exchanged for tokens of keys that came since", within=120, every=0.2)
