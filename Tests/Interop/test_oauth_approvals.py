"""Approvals by people: CIBA with a stock client, a resource's signed challenge, and every way to answer."""

import base64
import concurrent.futures
import json
import os
import signal
import subprocess
import threading
import time

import grpc
import jwt
import pytest
import requests
import requests_oauth2client as r2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from harness import domain as shield
from harness.polling import eventually
from harness.tokens import ACCESS_TOKEN, EXCHANGE, SVID_ASSERTION_TYPE, Tokens

from wire import messages as m
from wire.jws import public_jwk, sign
from wire.keys import csr, new_key
from wire.spire_agent import Identity

BANK, JIT, MAIL = "api://bank", "api://jit", "api://mail"
PAUL, SUE = "paul@example.org", "sue@example.org"
PROVIDER, AUDIENCE = "https://login.example.org", "approvals"
KEY, OTHER_KEY = (rsa.generate_private_key(65537, 2048) for _ in range(2))
CIBA = "urn:openid:params:grant-type:ciba"
PATTERN = {"type": "payment", "currency": ["EUR"], "amount": {"maximum": 500}, "to": {}}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    keys = tmp_path_factory.mktemp("provider") / "keys.json"
    keys.write_text(json.dumps({"keys": [public_jwk(KEY) | {"kid": "k1", "alg": "RS256", "use": "sig"}]}))
    domain = shield.start_server(
        "oauth-approvals.test",
        extra=["-socketApprover", f"{os.geteuid()} {SUE}",
               "-approverIssuer", f"{PROVIDER} audience={AUDIENCE} jwks={keys}"],
    )  # fmt: skip
    try:
        tokens = Tokens(domain)
        tokens.bank = tokens.agent("bank")
        tokens.payer = tokens.agent("payer")
        domain.cli("resource", "create", "-id", BANK, "-scope", "read pay", "-agent", "bank", "-approver", PAUL,
                   "-approver", SUE, "-approvalScope", "pay")  # fmt: skip
        domain.cli("resource", "create", "-id", JIT, "-scope", "deploy", "-approver", SUE)
        domain.cli("grant", "create", "-agent", "payer", "-resource", BANK, "-scope", "read pay",
                   "-details", json.dumps(PATTERN))  # fmt: skip
        domain.cli("grant", "create", "-agent", "payer", "-resource", JIT, "-scope", "deploy", "-approval", "10s")
        tokens.bank_svid = tokens.x509_svid(tokens.bank, tmp_path_factory.mktemp("bank"))
        tokens.payer_svid = tokens.x509_svid(tokens.payer, tmp_path_factory.mktemp("payer"))
        yield tokens
        assert domain.stop() == [0]
    finally:
        domain.discard()


@pytest.fixture(autouse=True)
def authorities(monkeypatch, tokens):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tokens.roots))


def claims_of(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


def waiting(tokens) -> list[dict]:
    return tokens.domain.cli_json("approvals", "list")["approvals"]


def approve(tokens, approval: dict) -> dict:
    return tokens.domain.cli_json("approvals", "approve", "-id", approval["id"], "-hash", approval["act_hash"])


def answer_all(tokens) -> None:
    for approval in waiting(tokens):
        tokens.domain.cli("approvals", "deny", "-id", approval["id"])


@pytest.fixture(autouse=True)
def nothing_waits(tokens):
    yield
    answer_all(tokens)


def consume(tokens, token: str, identity=None, **more) -> dict:
    with tokens.web(identity or tokens.bank_svid) as web:
        reply = web.post("/oauth2/consume", data={"token": token, **more})
        assert reply.status_code == 200 and reply.headers["cache-control"] == "no-store", reply.text
        return reply.json()


def stock_client(tokens) -> r2.OAuth2Client:
    session = requests.Session()
    session.cert = tuple(map(str, tokens.payer_svid))
    session.verify = str(tokens.roots)
    return r2.OAuth2Client(
        tokens.endpoint, client_id=tokens.payer.client_id, session=session,
        backchannel_authentication_endpoint=f"{tokens.issuer}/bc-authorize",
    )  # fmt: skip


def test_metadata_tell_of_it(tokens):
    with tokens.web() as web:
        facts = web.get("/oauth2/.well-known/oauth-authorization-server").json()
    assert facts["backchannel_authentication_endpoint"] == f"{tokens.issuer}/bc-authorize"
    assert facts["backchannel_token_delivery_modes_supported"] == ["poll"]
    assert facts["transaction_authorization_endpoint"] == f"{tokens.issuer}/txn-authorization"
    assert facts["token_consumption_endpoint"] == f"{tokens.issuer}/consume"
    assert CIBA in facts["grant_types_supported"]


def test_a_stock_ciba_client_waits_for_a_person(tokens):
    client = stock_client(tokens)
    asked = client.backchannel_authentication_request(
        scope="openid pay", login_hint=SUE, binding_message="W4-11", resource=BANK, requested_expiry=60
    )
    with pytest.raises(r2.AuthorizationPending):
        client.ciba(asked)
    (approval,) = waiting(tokens)
    assert approval["binding_code"] == "W4-11" and approval["hint"] == SUE and approval["demanded_by"] == "settings"
    assert approval["act"] == {
        "agent": tokens.payer.spiffe_id, "client_id": tokens.payer.client_id, "subject": tokens.payer.spiffe_id,
        "resource": BANK, "scope": "pay", "txn": approval["act"]["txn"],
    }  # fmt: skip
    approve(tokens, approval)
    job = r2.BackChannelAuthenticationPollingJob(client, asked.auth_req_id, interval=1)
    token = eventually(job, "the token is there", within=60)
    claims = claims_of(str(token.access_token))
    assert claims["scope"] == "pay" and claims["single_use"] is True and claims["cnf"]["x5t#S256"]
    assert claims["act_hash"] == approval["act_hash"] and claims["approval"] == approval["id"]
    with pytest.raises(r2.ExpiredToken):
        time.sleep(5)
        client.ciba(asked)


def test_a_stock_client_is_told_of_a_denial_and_of_silence(tokens):
    client = stock_client(tokens)
    asked = client.backchannel_authentication_request(scope="pay", login_hint=PAUL, resource=BANK)
    (approval,) = waiting(tokens)
    tokens.domain.cli("approvals", "deny", "-id", approval["id"])
    with pytest.raises(r2.AccessDenied):
        client.ciba(asked)
    asked = client.backchannel_authentication_request(scope="pay", login_hint=PAUL, resource=BANK, requested_expiry=1)
    eventually(lambda: refused_as(r2.ExpiredToken, client, asked), "silence is no", within=90, every=6)
    for error, fields in (
        ("unknown_user_id", {"login_hint": "eve@example.org"}),
        ("invalid_binding_message", {"login_hint": PAUL, "binding_message": "Please say yes!"}),
    ):
        with pytest.raises(r2.EndpointError) as refusal:
            client.backchannel_authentication_request(scope="pay", resource=BANK, **fields)
        assert refusal.value.error == error


def refused_as(error, client, asked) -> bool:
    try:
        client.ciba(asked)
    except error:
        return True
    except (r2.AuthorizationPending, r2.SlowDown):
        return False


def test_without_an_approval_there_is_no_token(tokens):
    with tokens.web(tokens.payer_svid) as web:
        for resource, scope in ((BANK, "pay"), (JIT, "deploy")):
            reply = web.post(
                "/oauth2/token", data={"grant_type": "client_credentials", "resource": resource, "scope": scope}
            )
            assert reply.status_code == 400 and reply.json()["error"] == "access_denied", reply.text
        reply = web.post("/oauth2/token", data={"grant_type": "client_credentials", "resource": BANK})
        assert reply.json()["scope"] == "read"


def ask(web, **form) -> dict:
    reply = web.post("/oauth2/bc-authorize", data=form)
    assert reply.status_code == 200, reply.text
    return reply.json()


def fetch(web, asked: dict):
    return web.post("/oauth2/token", data={"grant_type": CIBA, "auth_req_id": asked["auth_req_id"]})


def test_a_grant_that_holds_only_when_approved(tokens):
    ordinary = {"grant_type": "client_credentials", "resource": JIT, "scope": "deploy"}
    with tokens.web(tokens.payer_svid) as web:
        asked = ask(web, resource=JIT, scope="deploy")
        (approval,) = waiting(tokens)
        assert approval["demanded_by"] == "grant" and approval["grant_seconds"] == "10" and approval["act"]["grant_seconds"] == 10
        approve(tokens, approval)
        reply = fetch(web, asked)
        assert reply.status_code == 200, reply.text
        claims = claims_of(reply.json()["access_token"])
        assert "single_use" not in claims and claims["exp"] - time.time() <= 10
        # And by the ordinary way, as long as it holds.
        assert web.post("/oauth2/token", data=ordinary).status_code == 200
        eventually(lambda: web.post("/oauth2/token", data=ordinary).status_code == 400, "it ends", within=60, every=1)


def test_one_use_of_many_and_only_by_the_resource(tokens):
    with tokens.web(tokens.payer_svid) as web:
        asked = ask(web, resource=BANK, scope="pay")
        (approval,) = waiting(tokens)
        approve(tokens, approval)
        token = fetch(web, asked).json()["access_token"]
        introspection = {"token": token}
        assert consume(tokens, token, tokens.payer_svid) == {"active": False}
        assert consume(tokens, token, txn="another") == {"active": False}
        with tokens.web(tokens.bank_svid) as bank:
            assert bank.post("/oauth2/introspect", data=introspection).json()["active"] is True
            exchange = bank.post("/oauth2/token", data={
                "grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ACCESS_TOKEN, "audience": BANK,
            })  # fmt: skip
            assert exchange.json()["error"] == "invalid_request"
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: consume(tokens, token), range(32)))
        used = [answer for answer in answers if answer["active"]]
        assert len(used) == 1 and used[0]["scope"] == "pay" and used[0]["txn"] == approval["act"]["txn"]
        with tokens.web(tokens.bank_svid) as bank:
            assert bank.post("/oauth2/introspect", data=introspection).json() == {"active": False}
    spent = tokens.log("approval.spend")
    outcomes = [event for event in spent if event.get("effect", {}).get("observed") == "occurred"]
    assert outcomes[-1]["resource"]["id"] == approval["id"] and outcomes[-1]["agent"]["id"] == tokens.bank.spiffe_id


def test_rich_authorization_requests(tokens):
    def ask_for(**form):
        with tokens.web(tokens.payer_svid) as web:
            return web.post("/oauth2/token", data={"grant_type": "client_credentials", "resource": BANK, **form})

    details = [{"type": "payment", "currency": "EUR", "amount": 20, "to": "DE1"}]
    reply = ask_for(authorization_details=json.dumps(details))
    assert reply.status_code == 200, reply.text
    assert reply.json()["authorization_details"] == details and reply.json()["scope"] == ""
    claims = claims_of(reply.json()["access_token"])
    assert claims["authorization_details"] == details and "scope" not in claims
    with tokens.web(tokens.bank_svid) as web:
        facts = web.post("/oauth2/introspect", data={"token": reply.json()["access_token"]}).json()
        assert facts["authorization_details"] == details
    both = ask_for(authorization_details=json.dumps(details), scope="read")
    assert both.json()["scope"] == "read" and both.json()["authorization_details"] == details
    for bad in (
        [{**details[0], "amount": 501}], [{**details[0], "currency": "USD"}], [{**details[0], "purpose": "x"}],
        [{"type": "payment"}], [{"type": "transfer"}], [{**details[0], "to": 1}, {"type": "payment"}], [], {}, "x",
        [{"amount": 1}],
    ):  # fmt: skip
        reply = ask_for(authorization_details=json.dumps(bad))
        assert reply.status_code == 400 and reply.json()["error"] == "invalid_authorization_details", (bad, reply.text)


# The resource's own challenge


def challenge(tokens, identity=None, header=None, **changes) -> str:
    """As a resource makes one that has an X.509-SVID: signed with its key, its chain in the header."""
    chain_path, key_path = identity or tokens.bank_svid
    chain = x509.load_pem_x509_certificates(chain_path.read_bytes())
    key = load_pem_private_key(key_path.read_bytes(), None)
    now = int(time.time())
    claims = {
        "iss": BANK, "aud": tokens.issuer, "iat": now, "exp": now + 300, "jti": os.urandom(8).hex(), "txn": "order-7",
        "reason": "more than 100 euro",
        "authorization_details": [{"type": "payment", "currency": "EUR", "amount": 200, "to": "DE2"}], **changes,
    }  # fmt: skip
    x5c = [base64.b64encode(certificate.public_bytes(Encoding.DER)).decode() for certificate in chain]
    whole = {"alg": "ES256", "typ": "txn-authz-challenge+jwt", "x5c": x5c, **(header or {})}
    return sign(whole, {name: value for name, value in claims.items() if value is not None}, key)


def begin(web, text: str, **more):
    return web.post("/oauth2/txn-authorization", data={"transaction_challenge": text, **more})


def test_a_challenge_becomes_a_token_for_exactly_that(tokens):
    with tokens.web(tokens.payer_svid) as web:
        text = challenge(tokens)
        asked = begin(web, text)
        assert asked.status_code == 200, asked.text
        assert asked.json()["interval"] == 5 and 0 < asked.json()["expires_in"] <= 300
        poll = {"transaction_authorization_id": asked.json()["transaction_authorization_id"]}
        first = web.post("/oauth2/txn-authorization", data=poll)
        assert first.status_code == 400 and first.json()["error"] == "authorization_pending"
        assert web.post("/oauth2/txn-authorization", data=poll).json()["error"] == "slow_down"
        (approval,) = waiting(tokens)
        assert approval["demanded_by"] == "resource" and approval["reason"] == "more than 100 euro"
        shown = tokens.domain.cli("approvals", "show", "-id", approval["id"]).stdout
        assert '"amount":200' in shown and "order-7" in shown and approval["act_hash"] in shown
        approve(tokens, approval)
        token = eventually(
            lambda: web.post("/oauth2/txn-authorization", data=poll).json().get("access_token"), "the token is there",
            within=60, every=6,
        )  # fmt: skip
        claims = claims_of(token)
        assert claims["txn"] == "order-7" and claims["aud"] == BANK and "scope" not in claims
        assert claims["authorization_details"][0]["amount"] == 200 and claims["exp"] - time.time() <= 120
        altered = json.dumps([{**claims["authorization_details"][0], "amount": 201}])
        assert consume(tokens, token, txn="order-7", authorization_details=altered) == {"active": False}
        whole = consume(tokens, token, txn="order-7", authorization_details=json.dumps(claims["authorization_details"]))
        assert whole["active"] is True
        again = begin(web, text)
        assert again.status_code == 400 and again.json()["error"] == "invalid_request"


def test_challenges_that_are_refused(tokens):
    now = int(time.time())
    with tokens.web(tokens.payer_svid) as web:
        good = challenge(tokens)
        header, payload, signature = good.split(".")
        for text in (
            challenge(tokens, tokens.payer_svid), challenge(tokens, aud=BANK), challenge(tokens, exp=now - 1),
            challenge(tokens, exp=now + 7200), challenge(tokens, txn=None), challenge(tokens, jti=None),
            challenge(tokens, authorization_details=None), challenge(tokens, sub="spiffe://oauth-approvals.test/bank"),
            challenge(tokens, header={"typ": "JWT"}), challenge(tokens, header={"typ": "at+jwt"}),
            challenge(tokens, header={"jku": "https://example.org/keys"}), challenge(tokens, header={"x5c": []}),
            challenge(tokens, header={"jwk": public_jwk(OTHER_KEY)}), f"{header}.{payload}.{signature[::-1]}",
            f"{header}.{payload}.", "x", "a.b.c",
        ):  # fmt: skip
            reply = begin(web, text)
            assert reply.status_code == 400 and reply.json()["error"] == "invalid_request", (text, reply.text)
        for text in (challenge(tokens, iss=JIT), challenge(tokens, iss="api://none")):
            assert begin(web, text).json()["error"] == "invalid_target"
        wide = challenge(tokens, authorization_details=[{"type": "payment", "currency": "EUR", "amount": 501, "to": 1}])
        assert begin(web, wide).json()["error"] == "invalid_authorization_details"
        assert web.post("/oauth2/txn-authorization", data={}).json()["error"] == "invalid_request"
        assert begin(web, good, transaction_authorization_id="x").json()["error"] == "invalid_request"
    assert waiting(tokens) == []


def test_a_registered_key_of_the_resource_s_agent_signs_too(tokens, tmp_path):
    from cryptography.hazmat.primitives.serialization import PublicFormat

    path = tmp_path / "key.pem"
    path.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    tokens.register(tokens.bank, "-key", path)
    now = int(time.time())
    claims = {
        "iss": BANK, "aud": tokens.issuer, "iat": now, "exp": now + 60, "jti": os.urandom(8).hex(), "txn": "order-8",
        "authorization_details": [{"type": "payment", "currency": "EUR", "amount": 300, "to": "DE3"}],
    }  # fmt: skip
    header = {"alg": "RS256", "typ": "txn-authz-challenge+jwt"}
    with tokens.web(tokens.payer_svid) as web:
        assert begin(web, sign(header, claims, OTHER_KEY)).json()["error"] == "invalid_request"
        assert begin(web, sign(header, claims, KEY)).status_code == 200


# People


def id_token(key=KEY, **changes) -> str:
    now = int(time.time())
    claims = {
        "iss": PROVIDER, "aud": AUDIENCE, "sub": "user-1", "iat": now, "exp": now + 300, "email": PAUL,
        "email_verified": True, **changes,
    }  # fmt: skip
    return sign({"alg": "RS256", "kid": "k1"}, {k: v for k, v in claims.items() if v is not None}, key)


def test_people_answer_over_http(tokens):
    with tokens.web(tokens.payer_svid) as web, tokens.web() as browser:
        bearer = {"authorization": f"Bearer {id_token()}"}
        asked = ask(web, resource=BANK, scope="pay")
        (approval,) = browser.get("/approvals", headers=bearer).json()
        url = f"/approvals/{approval['id']}"
        assert browser.get(url, headers=bearer).json()["act"]["scope"] == "pay"
        # The hash of what was seen, and nothing else.
        assert browser.post(f"{url}/approve", headers=bearer, json={}).status_code == 400
        wrong = browser.post(f"{url}/approve", headers=bearer, json={"act_hash": "0" * 64})
        assert wrong.status_code == 409 and wrong.json()["error"] == "other_act"
        done = browser.post(f"{url}/approve", headers=bearer, json={"act_hash": approval["act_hash"]})
        assert done.status_code == 200 and done.json()["answered_by"] == PAUL, done.text
        again = browser.post(f"{url}/deny", headers=bearer)
        assert again.status_code == 409 and again.json()["error"] == "approval_not_pending"
        assert fetch(web, asked).status_code == 200
        # What Paul may not decide, he does not see.
        ask(web, resource=JIT, scope="deploy")
        (other,) = waiting(tokens)
        assert browser.get("/approvals", headers=bearer).json() == []
        assert browser.post(f"/approvals/{other['id']}/deny", headers=bearer).status_code == 404
    approved = [event for event in tokens.log("approval.approve") if event["agent"].get("id") == PAUL]
    assert approved and approved[-1]["agent"]["auth_method"] == "id_token"


def test_nobody_else_s_word_counts_as_a_person_s(tokens):
    for bad in (
        id_token(OTHER_KEY), id_token(iss="https://other.example"), id_token(aud="another"),
        id_token(aud=[AUDIENCE, "another"]), id_token(exp=int(time.time()) - 1), id_token(exp=None),
        id_token(iat=int(time.time()) - 7200), id_token(iat=None), id_token(email_verified=False),
        id_token(email_verified="true"), id_token(email=None),
        id_token(email="spiffe://oauth-approvals.test/admin"), id_token(email=f"{PROVIDER}#x@y"), id_token(email="@example.org"),
        id_token(email="a@b@example.org"), id_token(auth_time=int(time.time()) - 7200), id_token(auth_time="now"), tokens.jwt_svid(tokens.payer, AUDIENCE), "x",
    ):  # fmt: skip
        with tokens.web() as browser:
            reply = browser.get("/approvals", headers={"authorization": f"Bearer {bad}"})
            assert reply.status_code == 401 and reply.headers["www-authenticate"] == "Bearer", (bad, reply.text)
    with tokens.web() as browser:
        missing = browser.get("/approvals")
        assert missing.status_code == 401 and missing.headers["cache-control"] == "no-store"
        assert browser.get("/approvals", headers={"authorization": "Basic eDp4"}).status_code == 401
        eve = {"authorization": f"Bearer {id_token(email='eve@example.org')}"}
        assert browser.get("/approvals", headers=eve).json() == []
    refusals = [event for event in tokens.log("request.refuse") if event["resource"]["kind"] == "approvals"]
    assert refusals and all(event["decision"]["result"] == "deny" for event in refusals)


def test_who_may_answer_on_the_socket_is_the_resource_s_say(tokens):
    domain = tokens.domain
    owner = tokens.agent("owned")
    domain.cli("identity", "update", "-id", "owned", "-sponsor", SUE)
    domain.cli("resource", "create", "-id", MAIL, "-scope", "send", "-approver", SUE, "-approver", PAUL,
               "-approvalScope", "send")  # fmt: skip
    domain.cli("grant", "create", "-agent", "owned", "-resource", MAIL, "-scope", "send")

    def asked() -> dict:
        svid = tokens.jwt_svid(owner, tokens.issuer)
        with tokens.web() as web:
            ask(web, resource=MAIL, scope="send", client_assertion=svid, client_assertion_type=SVID_ASSERTION_TYPE)
        return waiting(tokens)[0]

    def refusal(approval) -> str:
        done = domain.cli("approvals", "approve", "-id", approval["id"], "-hash", approval["act_hash"], check=False)
        assert done.returncode == 1
        return done.stderr

    approval = asked()
    assert "do not approve for it" in refusal(approval)
    rules = ["-approver", SUE, "-approver", PAUL, "-approvalScope", "send"]
    domain.cli("resource", "update", "-id", MAIL, *rules, "-allowSponsorApproval", "-refuseSocketApproval")
    assert "no approvals from the administration socket" in refusal(approval)
    domain.cli("resource", "update", "-id", MAIL, *rules, "-allowSponsorApproval")
    approve(tokens, approval)
    second = asked()
    domain.cli("approvals", "deny", "-id", second["id"], "-disableAgent")
    assert domain.cli_json("identity", "show", "-id", "owned")["state"] == "disabled"


def wire(*texts: str) -> bytes:
    """A protobuf message whose first fields are these texts."""
    return b"".join(bytes([number << 3 | 2, len(text)]) + text.encode() for number, text in enumerate(texts, 1))


def test_an_administrator_s_svid_is_a_person_s_name_too(tokens):
    """Over the node API, by mutual TLS; only where the resource names it, and never for itself."""
    domain, id = tokens.domain, f"{tokens.domain.id}/console"
    domain.entry("/console", admin=True)
    key = new_key()
    svid = domain.admin.svids.MintX509SVID(m.svid.MintX509SVIDRequest(csr=csr(key, uri=id))).svid
    console = domain.spire_agent()
    console.adopt(Identity(list(svid.cert_chain), key, id, svid.expires_at))

    def call(method: str, *texts: str) -> bytes:
        path = f"/agentshield.admin.v1.Approvals/{method}"
        return console.channel.unary_unary(path)(wire(*texts), timeout=30)

    with tokens.web(tokens.payer_svid) as web:
        asked = ask(web, resource=BANK, scope="pay")
        (approval,) = waiting(tokens)
        for method in ("Approve", "Deny"):
            with pytest.raises(grpc.RpcError) as refusal:
                call(method, approval["id"], approval["act_hash"])
            assert refusal.value.code() == grpc.StatusCode.PERMISSION_DENIED and "no approver" in refusal.value.details()
        rules = ["-approver", PAUL, "-approver", SUE, "-approver", id, "-approvalScope", "pay"]
        domain.cli("resource", "update", "-id", BANK, *rules)
        assert approval["act_hash"].encode() in call("GetApproval", approval["id"])
        with pytest.raises(grpc.RpcError) as refusal:
            call("Approve", approval["id"], "0" * 64)
        assert refusal.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        call("Approve", approval["id"], approval["act_hash"])
        assert fetch(web, asked).status_code == 200
    (shown,) = [one for one in domain.cli_json("approvals", "list", "-all")["approvals"] if one["id"] == approval["id"]]
    assert shown["answered_by"] == id
    # Whoever is no administrator is not even heard.
    console.adopt(None)
    with pytest.raises(grpc.RpcError) as refusal:
        call("GetApproval", approval["id"])
    assert refusal.value.code() in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED)


def test_who_is_not_known_on_the_socket_is_told_so(tokens, tmp_path):
    domain = shield.start_server("oauth-approvals-nobody.test")
    try:
        nobody = Tokens(domain)
        caller = nobody.agent("caller")
        domain.cli("resource", "create", "-id", BANK, "-scope", "pay", "-approver", SUE, "-approvalScope", "pay")
        nobody.grant(caller, BANK, "pay")
        with nobody.web(nobody.x509_svid(caller, tmp_path)) as web:
            ask(web, resource=BANK, scope="pay")
        (approval,) = waiting(nobody)
        for answer in (["approve", "-hash", approval["act_hash"]], ["deny"]):
            done = domain.cli("approvals", *answer, "-id", approval["id"], check=False)
            assert done.returncode == 1 and "socket_approvers" in done.stderr
        assert waiting(nobody)[0]["state"] == "pending"
    finally:
        domain.discard()


def test_on_a_terminal_the_act_is_shown_before_it_is_approved(tokens):
    import pty

    with tokens.web(tokens.payer_svid) as web:
        ask(web, resource=BANK, scope="pay")
    (approval,) = waiting(tokens)
    no_terminal = tokens.domain.cli("approvals", "approve", "-id", approval["id"], check=False)
    assert no_terminal.returncode == 1 and "-hash is needed" in no_terminal.stderr

    def answer(word: str) -> subprocess.CompletedProcess:
        main, other = pty.openpty()
        try:
            os.write(main, word.encode() + b"\n")
            command = [shield.default_binary(), "approvals", "approve", "-id", approval["id"], "-socketPath", tokens.domain.admin_socket]
            return subprocess.run(command, stdin=other, capture_output=True, text=True, timeout=30)
        finally:
            os.close(main)
            os.close(other)

    refused = answer("y")
    assert refused.returncode == 1 and "nothing was approved" in refused.stderr and approval["act_hash"] in refused.stderr
    assert "Approved by" in answer("yes").stdout


def test_an_answer_survives_a_crash_and_a_use_is_never_forgotten(tmp_path):
    name, flags = "oauth-approvals-crash.test", ["-socketApprover", f"{os.geteuid()} {SUE}"]
    domain = shield.start_server(name, extra=flags)
    try:
        tokens = Tokens(domain)
        desk, caller = tokens.agent("desk"), tokens.agent("caller")
        domain.cli("resource", "create", "-id", BANK, "-scope", "pay", "-agent", "desk", "-approver", SUE,
                   "-approvalScope", "pay")  # fmt: skip
        tokens.grant(caller, BANK, "pay")
        (tmp_path / "desk").mkdir()
        (tmp_path / "caller").mkdir()
        desk_svid = tokens.x509_svid(desk, tmp_path / "desk")
        caller_svid = tokens.x509_svid(caller, tmp_path / "caller")
        handles = []
        with tokens.web(caller_svid) as web:
            for _ in range(2):
                handles.append(ask(web, resource=BANK, scope="pay"))
            for approval in waiting(tokens):
                approve(tokens, approval)
            token = fetch(web, handles[0]).json()["access_token"]
            used = threading.Event()
            # Killed while many ask to use one token: whoever was told yes was the only one, also after the restart.
            answers = []

            def use() -> None:
                try:
                    answers.append(consume(tokens, token, desk_svid)["active"])
                except Exception:
                    answers.append(None)
                used.set()

            threads = [threading.Thread(target=use) for _ in range(8)]
            for thread in threads:
                thread.start()
            used.wait(30)
            domain.processes[-1].stop(signal.SIGKILL)
            for thread in threads:
                thread.join(30)
        assert answers.count(True) <= 1
        domain = shield.start_server(name, folder=domain.folder, extra=flags)
        tokens = Tokens(domain)
        after = consume(tokens, token, desk_svid)["active"]
        assert answers.count(True) + after <= 1
        assert consume(tokens, token, desk_svid) == {"active": False}
        with tokens.web(caller_svid) as web:
            assert fetch(web, handles[1]).status_code == 200, "what was approved before the crash is there after it"
    finally:
        domain.discard()
