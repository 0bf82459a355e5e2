"""WIT-SVIDs through the Workload API and minted: read with PyJWT, an implementation of its own."""

import base64
import hashlib
import json

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from harness.domain import run_cli, start_up
from harness.polling import eventually
from wire import messages as m

HEADER = (("workload.spiffe.io", "true"),)


@pytest.fixture(scope="module")
def domain():
    domain = start_up("wit.test", extra=["-caTTL", "1h", "-defaultWITSVIDTTL", "12s"])
    try:
        yield domain
    finally:
        domain.discard()


@pytest.fixture
def channel(domain):
    with grpc.insecure_channel(f"unix:{domain.workload_socket}") as channel:
        yield channel


def fetch(channel, spiffe_id: str = "", timeout: float = 20):
    call = channel.unary_stream(
        "/SpiffeWorkloadAPI/FetchWITSVID",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=m.workload.WITSVIDResponse.FromString,
    )
    return call(m.workload.WITSVIDRequest(spiffe_id=spiffe_id), metadata=HEADER, timeout=timeout)


def bundles(channel, timeout: float = 20):
    call = channel.unary_stream(
        "/SpiffeWorkloadAPI/FetchWITBundles",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=m.workload.WITBundlesResponse.FromString,
    )
    return call(m.workload.Empty(), metadata=HEADER, timeout=timeout)


def first(stream):
    try:
        return next(iter(stream))
    finally:
        stream.cancel()


def keys(channel, domain) -> dict:
    return {key["kid"]: key for key in json.loads(first(bundles(channel)).bundles[domain.id])["keys"]}


def proof_of(token: str, private: dict) -> str:
    """A proof of possession (WPT) as the workload makes it: over the digest of its token, with the token's key."""
    return jwt.encode(
        {"wth": digest(token)}, jwt.PyJWK(private, algorithm="ES256").key, algorithm="ES256", headers={"typ": "wpt+jwt"}
    )


def judge_proof(token: str, proof: str, confirmation: dict) -> bool:
    """What a relying party that knows only the token does with a proof."""
    try:
        claims = jwt.decode(proof, jwt.PyJWK(confirmation).key, algorithms=["ES256"])
    except jwt.InvalidSignatureError:
        return False
    return claims["wth"] == digest(token)


def digest(token: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


def check(svid, published: dict) -> dict:
    """What a relying party does, and the proof with the key that came along."""
    header = jwt.get_unverified_header(svid.wit_svid)
    assert header["typ"] == "wit+jwt" and set(header) == {"alg", "kid", "typ"}
    claims = jwt.decode(svid.wit_svid, jwt.PyJWK(published[header["kid"]], algorithm="ES256").key, algorithms=["ES256"])
    assert claims["sub"] == svid.spiffe_id
    assert "aud" not in claims
    confirmation = claims["cnf"]["jwk"]
    assert confirmation["alg"] == "ES256" and "d" not in confirmation
    private = json.loads(svid.wit_svid_key)
    assert "d" in private and (private["x"], private["y"]) == (confirmation["x"], confirmation["y"])
    # A proof made with the private key verifies with the key in the token; one made with any other key does not.
    assert judge_proof(svid.wit_svid, proof_of(svid.wit_svid, private), confirmation)
    stranger = ec.generate_private_key(ec.SECP256R1())
    assert not judge_proof(svid.wit_svid, proof_of(svid.wit_svid, json.loads(ECAlgorithm.to_jwk(stranger))), confirmation)
    assert not judge_proof(svid.wit_svid + "x", proof_of(svid.wit_svid, private), confirmation), "it is for one token"
    return claims


def test_both_calls_give_a_token_a_key_and_the_bundle(domain, channel):
    domain.entry("/wit/one", hint="first")
    domain.entry("/wit/two")
    domain.wait_for_ids("/wit/one", "/wit/two")
    published = keys(channel, domain)
    svids = first(fetch(channel)).svids
    assert sorted(svid.spiffe_id for svid in svids) == [f"{domain.id}/wit/one", f"{domain.id}/wit/two"]
    one, two = (check(svid, published)["cnf"]["jwk"] for svid in svids)
    assert one["x"] != two["x"], "each identity has a key of its own"
    stolen = proof_of(svids[0].wit_svid, json.loads(svids[1].wit_svid_key))
    assert not judge_proof(svids[0].wit_svid, stolen, one), "the key of one identity proves nothing of another"
    (one,) = first(fetch(channel, f"{domain.id}/wit/one")).svids
    assert one.hint == "first"
    with pytest.raises(grpc.RpcError) as failure:
        first(fetch(channel, f"{domain.id}/wit/three"))
    assert failure.value.code() == grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(grpc.RpcError) as failure:
        first(fetch(channel, "not an ID"))
    assert failure.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    domain.forget_entries()


def test_no_key_is_for_two_purposes(domain, channel):
    domain.entry("/wit/purpose")
    domain.wait_for_ids("/wit/purpose")
    wit = set(keys(channel, domain))
    with domain.workload() as api:
        jwt_keys = {key["kid"] for key in json.loads(first(api.jwt_bundles()).bundles[domain.id])["keys"]}
        token = first(fetch(channel)).svids[0].wit_svid
        with pytest.raises(grpc.RpcError) as failure:
            api.validate("anything", token)
    assert failure.value.code() == grpc.StatusCode.INVALID_ARGUMENT, "a WIT-SVID is no bearer token"
    assert wit and jwt_keys and not wit & jwt_keys
    document = json.loads(domain.cli("bundle", "show", "-format", "spiffe").stdout)
    uses = {}
    for key in document["keys"]:
        uses.setdefault(key["use"], set()).add(key.get("kid"))
    assert uses["wit-svid"] == wit and uses["jwt-svid"] == jwt_keys and uses["x509-svid"] == {None}
    domain.forget_entries()


def test_a_held_stream_gets_the_next_token_in_time_and_ends_with_the_entry(domain, channel):
    domain.entry("/wit/held")
    domain.wait_for_ids("/wit/held")
    stream = fetch(channel, timeout=60)
    messages = iter(stream)
    ends = []
    for _ in range(3):
        claims = check(next(messages).svids[0], keys(channel, domain))
        ends.append((claims["exp"], claims["iat"], claims["jti"], claims["cnf"]["jwk"]["x"]))
    for before, after in zip(ends, ends[1:]):
        assert after[1] < before[0], "the next token came before the last one ended"
        assert after[2] != before[2] and after[3] != before[3], "a new token has a new key"
    domain.forget_entries()
    with pytest.raises(grpc.RpcError) as failure:
        while True:
            next(messages)
    assert failure.value.code() == grpc.StatusCode.PERMISSION_DENIED


def test_a_tainted_key_is_replaced_at_once(domain, channel):
    domain.entry("/wit/taint")
    domain.wait_for_ids("/wit/taint")
    old = domain.cli_json("localauthority", "wit", "show")["active"]["authority_id"]
    stream = fetch(channel, timeout=60)
    messages = iter(stream)
    assert jwt.get_unverified_header(next(messages).svids[0].wit_svid)["kid"] == old
    new = domain.cli_json("localauthority", "wit", "prepare")["prepared_authority"]["authority_id"]
    domain.cli("localauthority", "wit", "activate", "-authorityID", new)
    domain.cli("localauthority", "wit", "taint", "-authorityID", old)
    while jwt.get_unverified_header(next(messages).svids[0].wit_svid)["kid"] != new:
        pass
    domain.cli("localauthority", "wit", "revoke", "-authorityID", old)
    eventually(lambda: set(keys(channel, domain)) == {new}, "the old key is gone from the WIT bundle")
    stream.cancel()
    domain.forget_entries()


def test_the_command_line_mints_and_fetches(domain, channel, tmp_path):
    domain.cli("wit", "mint", "-spiffeID", f"{domain.id}/tools/backup", "-write", tmp_path)
    svid = m.workload.WITSVID(
        spiffe_id=f"{domain.id}/tools/backup",
        wit_svid=(tmp_path / "svid.token").read_text(),
        wit_svid_key=(tmp_path / "key.jwk").read_text(),
    )
    assert (tmp_path / "key.jwk").stat().st_mode & 0o777 == 0o600
    domain.entry("/wit/cli")
    domain.wait_for_ids("/wit/cli")
    check(svid, keys(channel, domain))
    answer = json.loads(run_cli("api", "fetch", "wit", "-socketPath", domain.workload_socket, "-output", "json").stdout)
    (shown,) = answer["svids"]
    check(m.workload.WITSVID(**shown), {k["kid"]: k for k in json.loads(answer["bundles"][domain.id])["keys"]})
    domain.forget_entries()
