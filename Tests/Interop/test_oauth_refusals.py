"""What the token service refuses: forged, borrowed, stretched and repeated credentials, forms and proofs, made by hand.

Every refusal is checked where it arrives, and in the audit log, whose reason shows that the rule meant is the one that
refused. Unauthenticated refusals are recorded singly a few times for each address, so each comes from an address of its own.
"""

import base64
import itertools
import json
import time
import uuid

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from harness import domain as shield
from harness.polling import eventually
from harness.tokens import ACCESS_TOKEN, ASSERTION_TYPE, EXCHANGE, JWT, SVID_ASSERTION_TYPE, Tokens

from wire.jws import base64url, public_jwk, public_pem, sign
from wire.keys import new_key

RESOURCE = "api://desk"
RSA_KEY = rsa.generate_private_key(65537, 2048)


class Bench:
    """One trust domain with its agents, and everything secret that was sent to it."""

    def __init__(self, tokens: Tokens):
        self.tokens = tokens
        # Each address is good for a few.
        self.addresses = (f"127.0.1.{n // 4 + 1}" for n in itertools.count())
        self.secrets: list[str] = []
        self.key = new_key()
        folder = tokens.domain.folder
        self.robot = tokens.agent("robot")
        self.press = tokens.agent("press")
        self.other = tokens.agent("other")
        tokens.resource(RESOURCE, "read", "write", agent="robot")
        for agent in (self.robot, self.press):
            tokens.grant(agent, RESOURCE, "read")
        for agent, key in ((self.robot, self.key), (self.press, RSA_KEY), (self.other, new_key())):
            path = folder / f"{agent.name}.pem"
            path.write_bytes(public_pem(key))
            tokens.register(agent, "-key", path)
        self.secret = self.keep(tokens.secret(self.press))

    def keep(self, secret: str) -> str:
        self.secrets.append(secret)
        return secret

    # What a client sends

    def claims(self, agent=None, **changes) -> dict:
        """Those of a good `private_key_jwt` assertion; None takes one out."""
        agent, now = agent or self.robot, int(time.time())
        claims = {
            "iss": agent.client_id, "sub": agent.client_id, "aud": self.tokens.issuer, "iat": now, "exp": now + 60,
            "jti": str(uuid.uuid4()), **changes,
        }  # fmt: skip
        return {name: value for name, value in claims.items() if value is not None}

    def assertion(self, header: dict | str | None = None, key="own", claims=None, **changes) -> str:
        header = {"alg": "ES256"} | (header or {}) if not isinstance(header, str) else header
        token = sign(header, claims or self.claims(**changes), self.key if key == "own" else key)
        if not token.endswith("."):
            self.keep(token.rpartition(".")[2])
        return token

    def form(self, assertion: str | None = None, type: str = ASSERTION_TYPE, **more) -> dict:
        form = {"grant_type": "client_credentials", "scope": "read", "resource": RESOURCE}
        if assertion is not None:
            form |= {"client_assertion": assertion, "client_assertion_type": type}
        return {name: value for name, value in (form | more).items() if value is not None}

    def post(self, form, address: str | None = None, path: str = "/oauth2/token", **options) -> httpx.Response:
        transport = httpx.HTTPTransport(verify=self.tokens.context, local_address=address)
        content = {"data": form} if isinstance(form, dict) else {"content": form}
        if not isinstance(form, dict):
            options["headers"] = {"content-type": "application/x-www-form-urlencoded"} | options.get("headers", {})
        with httpx.Client(transport=transport, base_url=self.tokens.base, trust_env=False) as web:
            reply = web.post(path, **content, **options)
        # RFC 6749 §5.1: whatever the answer is, nobody keeps it.
        assert reply.headers["cache-control"] == "no-store"
        if reply.is_success and reply.content and "access_token" in reply.json():
            self.keep(reply.json()["access_token"].rpartition(".")[2])
        return reply

    # What must come of it

    def refused(self, reply: httpx.Response, status: int, code: str) -> None:
        assert (reply.status_code, reply.json().get("error")) == (status, code), reply.text
        assert set(reply.json()) <= {"error", "error_description"}
        assert reply.headers["content-type"].startswith("application/json")
        for secret in self.secrets:
            assert secret not in reply.text

    def check(self, cases: dict[str, tuple[dict, str]], status: int = 401, code: str = "invalid_client") -> None:
        """Each form is refused with the code, and the log says why."""
        expected = []
        for name, (form, reason) in cases.items():
            address = next(self.addresses)
            expected.append((address, reason, name))
            reply = self.post(form, address)
            try:
                self.refused(reply, status, code)
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from error
            if code == "invalid_client":
                assert "error_description" not in reply.json(), f"{name}: every failure looks the same"
        self.check_log(expected, code)

    def check_log(self, expected: list[tuple[str, str, str]], code: str) -> None:
        """The newest refusals from each address are these, in this order."""

        def recorded() -> list[tuple[str, str]]:
            return [
                (line["agent"].get("peer", {}).get("address"), line["decision"]["reason"])
                for line in self.tokens.refusals()
                if line["decision"]["reason"].startswith(f"{code}: ")
            ]

        addresses = [address for address, _, _ in expected]

        def latest() -> list[tuple[str, str]] | None:
            found = [line for line in recorded() if line[0] in addresses][-len(expected):]
            return found if [address for address, _ in found] == addresses else None

        for (_, reason, name), (_, found) in zip(expected, eventually(latest, f"the log has {len(expected)} refusals")):
            assert reason in found, f"{name}: {found}"

    def check_newest(self, expected: list[tuple[str, str]]) -> None:
        """The newest refusals of clients that had proved who they are: those are in the log when the answers arrive."""
        found = [line["decision"]["reason"] for line in self.tokens.refusals()][-len(expected):]
        for (code, reason), line in zip(expected, found, strict=True):
            assert line.startswith(f"{code}: ") and reason in line


@pytest.fixture(scope="module")
def bench():
    domain = shield.start_server("oauth-refusals.test", extra=["-logLevel", "trace"])
    try:
        yield Bench(Tokens(domain))
        assert domain.stop() == [0]
    finally:
        domain.discard()


# Clients


def test_the_assertion_from_which_all_others_differ_is_good(bench):
    reply = bench.post(bench.form(bench.assertion()))
    assert reply.status_code == 200, reply.text
    claims = jwt.decode(reply.json()["access_token"], options={"verify_signature": False})
    assert claims["sub"] == bench.robot.spiffe_id and claims["scope"] == "read"


def test_assertions_with_tricks_of_algorithm_or_key(bench):
    """`none`, a public key as secret, keys of another kind, keys that the token brings or names by itself"""
    stranger = new_key()
    head, payload, signature = bench.assertion().split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    jku = "https://localhost:1/keys"
    a = bench.assertion
    form = bench.form
    bench.check(
        {
            "none": (form(a({"alg": "none"}, None)), "unsecured"),
            "None": (form(a({"alg": "None"}, None)), ""),
            "no algorithm": (form(a(json.dumps({"typ": "JWT"}))), "alg"),
            "HS256 by the public key": (form(a({"alg": "HS256"}, public_pem(bench.key))), "alg"),
            "HS256 by the public JWK": (form(a({"alg": "HS256"}, json.dumps(public_jwk(bench.key)).encode())), "alg"),
            "an RSA key's client with ES256": (
                form(a({"alg": "ES256"}, stranger, bench.claims(bench.press))), "the client has no key"),
            "RSA's signature called ES256": (
                form(a({"alg": "ES256"}, RSA_KEY, bench.claims(bench.press))), ""),
            "an EC key's client with RS256": (form(a({"alg": "RS256"}, RSA_KEY)), "the key is for"),
            "a signature in DER": (form(f"{head}.{payload}.{base64url(der)}"), "signature"),
            "no signature": (form(f"{head}.{payload}."), ""),
            "another client's key": (form(a(key=RSA_KEY)), "signature"),
            "a stranger's key": (form(a(key=stranger)), "signature"),
            "kid of a stranger": (form(a({"kid": "../../../dev/null"}, stranger)), ""),
            "kid as SQL": (form(a({"kid": "' OR 1=1 --"}, stranger)), ""),
            "a key in the header": (form(a({"jwk": public_jwk(stranger)}, stranger)), "jwk"),
            "the own key in the header": (form(a({"jwk": public_jwk(bench.key)})), "jwk"),
            "jku": (form(a({"jku": jku}, stranger)), "jku"),
            "x5u": (form(a({"x5u": jku}, stranger)), "x5u"),
            "crit": (form(a({"crit": ["exp2"], "exp2": 1})), "crit"),
            "an access token's typ": (form(a({"typ": "at+jwt"})), "type"),
            "a proof's typ": (form(a({"typ": "dpop+jwt"})), "type"),
        }
    )  # fmt: skip


def test_assertions_with_wrong_claims(bench):
    now = int(time.time())
    a, form = bench.assertion, bench.form
    twice = json.dumps(bench.claims()).replace('"sub":', '"sub": "somebody", "sub":')
    bench.check(
        {
            "a member twice in the header": (form(a('{"alg": "ES256", "alg": "ES256"}')), "twice"),
            "a member twice in the claims": (form(a(claims=twice)), "twice"),
            "another audience": (form(a(aud="https://elsewhere.example/oauth2")), "audience"),
            "the issuer with a slash": (form(a(aud=bench.tokens.issuer + "/")), "audience"),
            "two audiences": (form(a(aud=[bench.tokens.issuer, "https://elsewhere.example"])), "several audiences"),
            "no audience": (form(a(aud=None)), "aud"),
            "expired": (form(a(iat=now - 120, exp=now - 1)), "expired"),
            "not yet valid": (form(a(nbf=now + 600)), ""),
            "made in the future": (form(a(iat=now + 600)), ""),
            "no end": (form(a(exp=None)), "exp"),
            "an end that is a text": (form(a(exp="tomorrow")), "exp"),
            "an end in a day": (form(a(exp=now + 86400)), "too long"),
            "no jti": (form(a(jti=None)), "jti"),
            "a jti of half a page": (form(a(jti="x" * 300)), "jti"),
            "an unknown client": (form(a(iss="nobody", sub="nobody")), "unknown"),
            "another's word": (form(a(iss=bench.other.client_id), client_id=bench.robot.client_id), ""),
            "another client_id": (form(a(), client_id=bench.other.client_id), "client_id"),
            "larger than 16 KiB": (form(a(pad="x" * 17000)), ""),
            "not a token": (form("not.a.token"), ""),
            "two parts": (form("e30.e30"), ""),
        }
    )  # fmt: skip


def test_a_client_s_own_assertion_counts_once(bench):
    once = bench.assertion()
    assert bench.post(bench.form(once)).status_code == 200
    bench.check({"again": (bench.form(once), "used before")})


def test_svids_as_credentials(bench):
    tokens = bench.tokens
    svid = bench.keep(tokens.jwt_svid(bench.robot, tokens.issuer))
    for _ in range(3):
        # SVIDs are shared and cached: they count until they end.
        assert bench.post(bench.form(svid, SVID_ASSERTION_TYPE)).status_code == 200
    # Stock clients send a file as it is.
    assert bench.post(bench.form(f"{svid}\n", ASSERTION_TYPE)).status_code == 200
    access_token = bench.post(bench.form(bench.assertion())).json()["access_token"]
    both = bench.keep(tokens.jwt_svid(bench.robot, [tokens.issuer, "https://elsewhere.example"]))
    elsewhere = bench.keep(tokens.jwt_svid(bench.robot, "https://elsewhere.example"))
    nobody = tokens.domain.cli_json(
        "jwt", "mint", "-spiffeID", f"{tokens.domain.id}/nobody", "-audience", tokens.issuer)["svid"]["token"]  # fmt: skip
    header, payload, signature = svid.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    kid = jwt.get_unverified_header(svid)["kid"]
    forged = bench.assertion({"kid": kid, "typ": "JWT"}, claims=claims)
    form = bench.form
    bench.check(
        {
            "for others too": (form(both), ""),
            "for somebody else": (form(elsewhere, client_id=bench.robot.client_id), "no federated credential"),
            "for somebody else, without client_id": (form(elsewhere), "client_id"),
            "of no agent": (form(nobody), "belongs to no agent"),
            "of another agent than client_id": (form(svid, client_id=bench.press.client_id), "client_id"),
            "signed by a stranger": (form(forged), ""),
            "with another payload": (form(f"{header}.{base64url(json.dumps(claims).encode())}.{signature}"), ""),
            "an access token as SVID": (form(access_token, SVID_ASSERTION_TYPE), ""),
            "an access token as assertion": (form(access_token), ""),
            "an own assertion as SVID": (form(bench.assertion(), SVID_ASSERTION_TYPE), "no JWT-SVID"),
            "another type": (form(svid, "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), "not supported"),
        }
    )  # fmt: skip


def test_an_svid_ends_with_its_time(bench):
    short = bench.keep(bench.tokens.jwt_svid(bench.robot, bench.tokens.issuer, ttl="2s"))
    reply = eventually(
        lambda: (reply := bench.post(bench.form(short), "127.0.9.1")).status_code != 200 and reply, "the SVID ended"
    )
    bench.refused(reply, 401, "invalid_client")
    bench.check_log([("127.0.9.1", "expired", "an old SVID")], "invalid_client")


def test_secrets_and_no_credential(bench):
    press, form = bench.press, bench.form
    good = {"client_id": press.client_id, "client_secret": bench.secret}
    assert bench.post(form(**good)).status_code == 200
    bench.check(
        {
            "another secret": (form(client_id=press.client_id, client_secret=bench.secret[:-1] + "~"), "belong"),
            "an empty secret": (form(client_id=press.client_id, client_secret=" "), ""),
            "another's secret": (form(client_id=bench.robot.client_id, client_secret=bench.secret), "belong"),
            "an unknown client": (form(client_id="nobody", client_secret=bench.secret), "belong"),
            "nothing": (form(), "no credential"),
            "a name alone": (form(client_id=press.client_id), "no credential"),
        }
    )


def basic(client_id: str, secret: str) -> dict:
    return {"authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


def test_basic_credentials_encoded_and_raw(bench):
    """RFC 6749 §2.3.1 wants them encoded; authlib and requests-oauthlib do not do it"""
    press, form = bench.press, bench.form()
    encoded = press.client_id.replace("-", "%2D"), "".join(f"%{ord(c):02X}" for c in bench.secret)
    for headers in (basic(press.client_id, bench.secret), basic(*encoded)):
        assert bench.post(form, headers=headers).status_code == 200
    for headers in (
        basic(press.client_id, "wrong"),
        {"authorization": "Basic !!!"},
        {"authorization": "Bearer " + bench.secret},
    ):
        reply = bench.post(form, next(bench.addresses), headers=headers)
        bench.refused(reply, 401, "invalid_client")
        assert reply.headers["www-authenticate"].startswith("Basic "), "RFC 6749 §5.2"


def test_disabled_and_retired_agents(bench):
    tokens = bench.tokens
    agent = tokens.agent("passing")
    tokens.grant(agent, RESOURCE, "read")
    svid = bench.keep(tokens.jwt_svid(agent, tokens.issuer))
    form = bench.form(svid)
    access_token = bench.post(form).json()["access_token"]

    def is_active() -> bool:
        # The resource's agent asks.
        query = bench.form(bench.assertion(), token=access_token)
        return bench.post(query, path="/oauth2/introspect").json()["active"]

    assert is_active()
    tokens.domain.cli("identity", "disable", "-id", agent.client_id)
    bench.refused(bench.post(form), 401, "invalid_client")
    # By the directory, or by the revocation that follows it: whichever comes first.
    eventually(
        lambda: any("agent is disabled" in line["decision"]["reason"] or "SVID is revoked" in line["decision"]["reason"]
                    for line in tokens.refusals()),
        "the log says why",
    )  # fmt: skip
    assert not is_active()
    tokens.domain.cli("identity", "enable", "-id", agent.client_id)
    eventually(lambda: bench.post(form).status_code == 200, "the agent gets tokens again")
    assert is_active()
    tokens.domain.cli("identity", "retire", "-id", agent.client_id)
    bench.check({"retired": (form, "agent")})
    assert not is_active()


# Forms


def test_forms_that_nobody_should_send(bench):
    good = bench.form(client_id=bench.press.client_id, client_secret=bench.secret)
    text = str(httpx.QueryParams(good)).encode()
    both = bench.form(bench.assertion(), client_id=bench.press.client_id, client_secret=bench.secret)
    bench.check(
        {
            "a parameter twice": (text + b"&scope=read", "twice"),
            "the client twice": (text + b"&client_id=" + bench.other.client_id.encode(), "twice"),
            "an unknown parameter twice": (text + b"&color=red&color=blue", "twice"),
            "a bad escape": (text + b"&color=%zz", "escape"),
            "a bare control character": (text + b"&color=\x01", "control"),
            "not UTF-8": (text + b"&color=%ff", "UTF-8"),
            "65 parameters": (text + b"".join(b"&p%d=1" % n for n in range(65)), "more than 64"),
            "no grant type": (bench.form(grant_type=None), "grant_type"),
            "two credentials": (both, "several ways"),
            "an assertion without type": (bench.form(client_assertion=bench.assertion()), "client_assertion_type"),
        },
        400, "invalid_request",
    )  # fmt: skip
    bench.check({"no such grant": (bench.form(grant_type="password"), "")}, 400, "unsupported_grant_type")
    for form, headers in (
        (good, basic(bench.press.client_id, bench.secret)),
        (bench.form(bench.assertion()), basic(bench.press.client_id, bench.secret)),
    ):
        bench.refused(bench.post(form, headers=headers), 400, "invalid_request")


def test_unknown_parameters_are_ignored(bench):
    form = bench.form(client_id=bench.press.client_id, client_secret=bench.secret)
    reply = bench.post(form | {"color": "red", "claims": '{"access_token":{}}', "client_info": "1", "x-client-sku": "y"})
    assert reply.status_code == 200


def test_other_methods_types_and_sizes(bench):
    good = bench.form(client_id=bench.press.client_id, client_secret=bench.secret)
    text = str(httpx.QueryParams(good))
    for type in ("application/json", "text/plain", "multipart/form-data; boundary=x", ""):
        bench.refused(bench.post(text, headers={"content-type": type}), 400, "invalid_request")
    charset = {"content-type": "application/x-www-form-urlencoded;charset=UTF-8"}
    assert bench.post(text, headers=charset).status_code == 200
    bench.refused(bench.post(text + "&pad=" + "x" * (64 << 10)), 400, "invalid_request")
    with bench.tokens.web() as web:
        for path in ("/oauth2/token", "/oauth2/introspect", "/oauth2/revoke", "/oauth-refusals.test/oauth2/v2.0/token"):
            for method in ("GET", "PUT", "DELETE"):
                reply = web.request(method, path, params=good if method == "GET" else None)
                assert reply.status_code in (404, 405), f"{method} {path}"
        # Credentials in a URL end in logs: they count for nothing.
        assert web.post("/oauth2/token", params=good).status_code == 400


# Targets


def test_scopes_and_resources_that_are_not_granted(bench):
    tokens, secret = bench.tokens, {"client_id": bench.press.client_id, "client_secret": bench.secret}
    tokens.resource("api://bound", "read", binding="required")
    tokens.resource("api://elsewhere", "read")
    tokens.grant(bench.press, "api://bound", "read")
    expected = []
    for changes, code, reason in (
        ({"scope": "write", "resource": RESOURCE}, "invalid_scope", "write"),
        ({"scope": "read write", "resource": RESOURCE}, "invalid_scope", "write"),
        ({"scope": "admin", "resource": RESOURCE}, "invalid_scope", "admin"),
        ({"scope": "read", "resource": "api://nowhere"}, "invalid_target", ""),
        ({"scope": "read", "resource": "api://elsewhere"}, "invalid_target", ""),
        ({"scope": "api://desk/.default api://bound/.default", "resource": None}, "invalid_target", "one resource"),
        ({"scope": "api://bound/.default", "resource": None}, "invalid_request", "bound"),
        ({"resource": RESOURCE, "authorization_details": '[{"type": "pay"}]'}, "invalid_authorization_details", ""),
    ):
        reply = bench.post(bench.form(**secret | changes))
        bench.refused(reply, 400, code)
        expected.append((code, reason))
    bench.check_newest(expected)
    form = bench.form(**secret)
    bench.check({"a scope with a quote": (form | {"scope": 'r"ead'}, "")}, 400, "invalid_scope")
    bench.check({"a resource that is no URI": (form | {"resource": "desk"}, "")}, 400, "invalid_target")
    answers = {
        bench.post(bench.form(**secret) | {"scope": "read", "resource": id}).text
        for id in ("api://nowhere", "api://elsewhere")
    }
    assert len(answers) == 1, "what exists is nobody's business"


# Proofs of possession


class Prover:
    def __init__(self, bench: Bench):
        self.bench, self.key = bench, new_key()
        self.nonce = None

    def proof(self, header=None, key="own", **changes) -> str:
        whole = {"typ": "dpop+jwt", "alg": "ES256", "jwk": public_jwk(self.key)} | (header or {})
        claims = {
            "jti": str(uuid.uuid4()), "htm": "POST", "htu": self.bench.tokens.endpoint, "iat": int(time.time()),
            "nonce": self.nonce, **changes,
        }  # fmt: skip
        return sign(
            {name: value for name, value in whole.items() if value is not None},
            {name: value for name, value in claims.items() if value is not None},
            self.key if key == "own" else key,
        )

    def post(self, *proofs: str, **form) -> httpx.Response:
        whole = self.bench.form(client_id=self.bench.press.client_id, client_secret=self.bench.secret) | form
        text = str(httpx.QueryParams(whole)).encode()
        headers = [("content-type", "application/x-www-form-urlencoded"), *(("dpop", proof) for proof in proofs)]
        with self.bench.tokens.web() as web:
            reply = web.post("/oauth2/token", content=text, headers=headers)
        assert reply.headers["cache-control"] == "no-store"
        self.nonce = reply.headers.get("dpop-nonce", self.nonce)
        return reply


def test_proofs_of_possession(bench):
    prover = Prover(bench)
    reply = prover.post(prover.proof())
    bench.refused(reply, 400, "use_dpop_nonce")
    assert reply.headers["dpop-nonce"] == prover.nonce

    once = prover.proof()
    reply = prover.post(once)
    assert reply.status_code == 200 and reply.json()["token_type"] == "DPoP"
    claims = jwt.decode(reply.json()["access_token"], options={"verify_signature": False})
    assert set(claims["cnf"]) == {"jkt"}
    bench.refused(prover.post(once), 400, "invalid_dpop_proof")
    bench.check_newest([("invalid_dpop_proof", "used before")])

    now, stranger = int(time.time()), new_key()
    private = public_jwk(prover.key) | {"d": base64url(prover.key.private_numbers().private_value.to_bytes(32, "big"))}
    p, expected = prover.proof, []
    for name, proof, code, reason in (
        ("another method", p(htm="GET"), "invalid_dpop_proof", ""),
        ("another endpoint", p(htu=bench.tokens.issuer + "/introspect"), "invalid_dpop_proof", ""),
        ("another host", p(htu="https://elsewhere.example/oauth2/token"), "invalid_dpop_proof", ""),
        ("no URL", p(htu=None), "invalid_dpop_proof", "htu"),
        ("no method", p(htm=None), "invalid_dpop_proof", "htm"),
        ("no jti", p(jti=None), "invalid_dpop_proof", "jti"),
        ("no time", p(iat=None), "invalid_dpop_proof", "iat"),
        ("an hour old", p(iat=now - 3600), "invalid_dpop_proof", ""),
        ("from the future", p(iat=now + 3600), "invalid_dpop_proof", ""),
        ("another key's signature", p(key=stranger), "invalid_dpop_proof", "signature"),
        ("a private key", p({"jwk": private}), "invalid_dpop_proof", ""),
        ("no key", p({"jwk": None}), "invalid_dpop_proof", ""),
        ("another type", p({"typ": "JWT"}), "invalid_dpop_proof", ""),
        ("no algorithm", p({"alg": "none"}, None), "invalid_dpop_proof", "unsecured"),
        ("a shared secret", p({"alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}}, b"\0\0\0"), "invalid_dpop_proof", ""),
        ("another nonce", p(nonce="made-up"), "use_dpop_nonce", ""),
        ("no token", "nothing", "invalid_dpop_proof", ""),
    ):  # fmt: skip
        reply = prover.post(proof)
        assert reply.status_code == 400 and reply.json()["error"] == code, f"{name}: {reply.text}"
        assert "dpop-nonce" in reply.headers, name
        expected.append((code, reason))
    bench.refused(prover.post(p(), p()), 400, "invalid_dpop_proof")
    bench.check_newest([*expected, ("invalid_dpop_proof", "more than one")])


# Exchanges


@pytest.fixture(scope="module")
def chain(bench):
    """Three desks in a row; each agent may pass calls on to the next desk."""
    tokens = bench.tokens
    tokens.domain.cli(
        "blueprint", "create", "-name", "short", "-sponsor", "owner@example.org", "-maxActorDepth", "1",
        "-scope", "read", "-scope", "write", "-audience", "api://last", "-audience", "api://middle",
    )  # fmt: skip
    first = tokens.agent("first")
    middle = tokens.agent("middle")
    last = tokens.agent("last", "-blueprint", "short")
    tokens.resource("api://middle", "read", "write", agent="middle")
    tokens.resource("api://last", "read", "write", agent="last")
    tokens.resource("api://end", "read", "write")
    tokens.grant(first, "api://middle", "read")
    tokens.grant(middle, "api://last", "read", "write", use="delegated")
    tokens.grant(middle, "api://end", "read")
    tokens.grant(last, "api://middle", "read", use="delegated")
    return first, middle, last


def as_client(bench, agent, **form) -> dict:
    svid = bench.keep(bench.tokens.jwt_svid(agent, bench.tokens.issuer))
    return {"client_assertion": svid, "client_assertion_type": SVID_ASSERTION_TYPE, **form}


def exchange(bench, agent, subject: str, type: str = ACCESS_TOKEN, **more) -> httpx.Response:
    form = {"grant_type": EXCHANGE, "subject_token": subject, "subject_token_type": type, **more}
    return bench.post(as_client(bench, agent, **form))


def test_exchanges_only_narrow(bench, chain):
    first, middle, last = chain
    own = {"grant_type": "client_credentials", "resource": "api://middle"}
    subject = bench.post(as_client(bench, first, **own)).json()["access_token"]
    passed_on = exchange(bench, middle, subject, audience="api://last")
    assert passed_on.status_code == 200, passed_on.text
    before = jwt.decode(subject, options={"verify_signature": False})
    after = jwt.decode(passed_on.json()["access_token"], options={"verify_signature": False})
    assert after["sub"] == first.spiffe_id and after["act"]["sub"] == middle.spiffe_id
    assert after["scope"] == "read" and after["exp"] <= before["exp"] and after["aud"] in ("api://last", ["api://last"])

    for name, reply, status, code in (
        ("more scope", exchange(bench, middle, subject, audience="api://last", scope="write"), 400, "invalid_scope"),
        ("no grant", exchange(bench, middle, subject, audience=RESOURCE), 400, "invalid_target"),
        ("a grant for itself only", exchange(bench, middle, subject, audience="api://end"), 403, "actor_unauthorized"),
        ("overheard", exchange(bench, last, subject, audience="api://middle"), 400, "invalid_request"),
        ("two audiences", exchange(bench, middle, subject, audience="api://last", resource="api://end"), 400, "invalid_target"),
        ("too deep", exchange(bench, last, passed_on.json()["access_token"], audience="api://middle"), 403,
         "actor_unauthorized"),
        ("an SVID for others", exchange(bench, middle, bench.tokens.jwt_svid(first, "api://middle"), JWT,
         audience="api://last"), 400, "invalid_request"),
        ("an SVID as access token", exchange(bench, middle, bench.tokens.jwt_svid(first, bench.tokens.issuer),
         audience="api://last"), 400, "invalid_request"),
        ("an access token as SVID", exchange(bench, middle, subject, JWT, audience="api://last"), 400, "invalid_request"),
        ("an altered token", exchange(bench, middle, subject[:-8] + "AAAAAAAA", audience="api://last"), 400,
         "invalid_request"),
        ("an actor that is not the client", exchange(bench, middle, subject, audience="api://last", actor_token_type=JWT,
         actor_token=bench.tokens.jwt_svid(last, bench.tokens.issuer)), 400, "invalid_request"),
        ("an ID token", exchange(bench, middle, subject, "urn:ietf:params:oauth:token-type:id_token",
         audience="api://last"), 400, "invalid_request"),
    ):  # fmt: skip
        assert (reply.status_code, reply.json()["error"]) == (status, code), f"{name}: {reply.text}"
    reasons = [line["decision"]["reason"] for line in bench.tokens.refusals()]
    assert sum("actor_unauthorized" in reason for reason in reasons) == 2


def test_a_bound_token_is_exchanged_with_its_key_only(bench, chain):
    first, middle, _ = chain
    prover = Prover(bench)
    credentials = as_client(bench, first, grant_type="client_credentials", resource="api://middle")
    ask = credentials

    def post(*proofs, **form):
        whole = {name: value for name, value in (ask | form).items() if value is not None}
        with bench.tokens.web() as web:
            headers = [("dpop", proof) for proof in proofs]
            reply = web.post("/oauth2/token", data=whole, headers=headers)
        prover.nonce = reply.headers.get("dpop-nonce", prover.nonce)
        return reply

    post(prover.proof())
    bound = bench.keep(post(prover.proof()).json()["access_token"])
    again = {"grant_type": EXCHANGE, "subject_token": bound, "subject_token_type": ACCESS_TOKEN, "audience": "api://middle",
             "resource": None}  # fmt: skip
    bench.refused(post(**again), 400, "invalid_request")
    bench.check_newest([("invalid_request", "another key")])
    assert post(prover.proof(), **again).status_code == 200
    # Whoever received it cannot have the key, and passes the call on.
    assert exchange(bench, middle, bound, audience="api://last").status_code == 200


# Queries


def test_tokens_are_nobody_else_s_business(bench, chain):
    first, middle, last = chain
    own = {"grant_type": "client_credentials", "resource": "api://middle"}
    token = bench.post(as_client(bench, first, **own)).json()["access_token"]

    def introspect(agent, text=token) -> dict:
        return bench.post(as_client(bench, agent, token=text), path="/oauth2/introspect").json()

    assert introspect(first)["active"] and introspect(middle)["active"]
    for agent, text in ((last, token), (middle, token[:-4] + "AAAA"), (middle, "nonsense")):
        assert introspect(agent, text) == {"active": False}
    for path in ("/oauth2/introspect", "/oauth2/revoke"):
        bench.refused(bench.post({"token": token}, path=path), 401, "invalid_client")
        bench.refused(bench.post(as_client(bench, first), path=path), 400, "invalid_request")
    bench.refused(bench.post(as_client(bench, middle, token=token), path="/oauth2/revoke"), 400, "unauthorized_client")
    assert introspect(middle)["active"]
    assert bench.post(as_client(bench, first, token=token), path="/oauth2/revoke").status_code == 200
    assert introspect(middle) == {"active": False} == introspect(first)
    bench.refused(exchange(bench, middle, token, audience="api://last"), 400, "invalid_request")
    # RFC 7009 §2.2: an unknown token is as good as revoked.
    assert bench.post(as_client(bench, first, token="nonsense"), path="/oauth2/revoke").status_code == 200


def test_too_many_requests_are_told_to_wait(start):
    tokens = Tokens(start("oauth-limit.test", only_server=True, extra=["-rateLimitTokens", "1"]))
    with tokens.web() as web:
        replies = [web.post("/oauth2/token", data={"grant_type": "client_credentials"}) for _ in range(10)]
        refused = [reply for reply in replies if reply.status_code == 429]
        assert refused and all(int(reply.headers["retry-after"]) >= 1 for reply in refused)
        assert all(reply.headers["cache-control"] == "no-store" for reply in replies)
        assert all(reply.json()["error"] == "temporarily_unavailable" for reply in refused)
        assert web.get("/oauth2/jwks").status_code == 200, "keys are for everybody"


def test_nothing_secret_is_in_a_log(bench):
    """After all that came before: the server's log at its most talkative level, and the audit log"""
    assert len(bench.secrets) > 1
    audit = bench.tokens.domain.cli("log", "list", "-output", "json", "-count", "100000").stdout
    logs = {"server": bench.tokens.domain.processes[0].log(lines=10**6), "audit": audit}
    assert "serves" in logs["server"] and "access_token.refuse" in logs["audit"]
    for name, text in logs.items():
        for secret in bench.secrets:
            assert secret.rpartition(".")[2] not in text, name
