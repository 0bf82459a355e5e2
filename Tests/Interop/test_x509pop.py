"""Node attestation `x509pop` on the wire: a stand-in for the SPIRE agent that brings a certificate, right and wrong."""

import base64
import json
import os
import shutil
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from harness import domain as shield
from harness.domain import run_cli, start_server
from harness.polling import eventually
from harness.process import Process
from wire import messages as m
from wire import x509pop as pop
from wire.admin import entry
from wire.keys import csr, new_key
from wire.status import denied_reason

NAME = "x509pop.test"


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    root = pop.authority("node root")
    other = pop.authority("rsa root", key=pop.rsa_key())
    for one, name in ((root, "root"), (other, "rsa")):
        one.write(folder, name)
    return folder, root, other


@pytest.fixture(scope="module")
def nodes(pki):
    """A control plane that takes the certificates of two authorities."""
    folder, _, _ = pki
    flags = ["-x509popCABundle", folder / "root.pem", "-x509popCABundle", folder / "rsa.pem"]
    domain = start_server(NAME, extra=flags)
    yield domain
    assert set(domain.stop()) == {0}
    domain.discard()


def attest(domain, key, *chain, adopt=False, **options):
    """One attestation by a stand-in of its own; gives agent and identity."""
    agent = domain.spire_agent()
    try:
        identity = agent.attest(
            options.pop("payload", None) or pop.payload(*chain), kind="x509pop", adopt=adopt,
            answer=options.pop("answer", None) or pop.answerer(key, **options),
        )  # fmt: skip
    except BaseException:
        agent.close()
        raise
    return agent, identity


def refused(domain, key, *chain, **options) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as error:
        attest(domain, key, *chain, **options)
    return error.value


def agents(domain) -> dict:
    return {
        domain.id + one.id.path: one
        for one in domain.admin.agents.ListAgents(m.agent.ListAgentsRequest(), timeout=20).agents
    }


KEYS = {
    "p256": lambda: new_key(),
    "p384": lambda: new_key(ec.SECP384R1()),
    "p521": lambda: new_key(ec.SECP521R1()),
    "rsa2048": lambda: pop.rsa_key(2048),
    "rsa3072": lambda: pop.rsa_key(3072),
    "rsa4096": lambda: pop.rsa_key(4096),
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_node_attests_by_its_certificate(nodes, pki, kind):
    """ID, selectors and `reattestable` are SPIRE's"""
    _, root, rsa_root = pki
    issuer = rsa_root if kind.startswith("rsa") else root
    leaf = pop.issue(
        "node.example", issuer, key=KEYS[kind](), uris=[f"x509pop://{NAME}/rack:a:7", "x509pop://elsewhere/rack:b"]
    )
    agent, identity = attest(nodes, leaf.key, leaf, adopt=True)
    with agent:
        assert identity.id == f"{nodes.id}/spire/agent/x509pop/{leaf.fingerprint}"
        assert identity.reattestable
        agent.post_status()
        known = agents(nodes)[identity.id]
        assert known.attestation_type == "x509pop" and known.can_reattest and not known.banned
        serial = leaf.certificate.serial_number
        assert sorted(f"{s.type}:{s.value}" for s in known.selectors) == sorted([
            f"x509pop:ca:fingerprint:{issuer.fingerprint}", "x509pop:san:rack:a:7", "x509pop:subject:cn:node.example",
            f"x509pop:serialnumber:{serial.to_bytes((serial.bit_length() + 7) // 8, 'big').hex()}",
        ])  # fmt: skip


@pytest.mark.long
def test_an_rsa_key_of_8192_bits_is_taken(nodes, pki):
    """The limit itself, as leaf and as intermediate authority"""
    _, root, _ = pki
    key = pop.rsa_key(8192)
    middle = pop.authority("middle", issuer=root, key=key)
    leaf = pop.issue("big", middle)
    agent, identity = attest(nodes, leaf.key, leaf, middle)
    agent.close()
    leaf = pop.issue("bigger", root, key=key)
    agent, identity = attest(nodes, leaf.key, leaf)
    agent.close()
    assert identity.id.endswith(leaf.fingerprint)


@pytest.mark.parametrize("salt", [0, 20, 32, padding.PSS.MAX_LENGTH], ids=["0", "20", "32", "max"])
def test_any_salt_length_is_taken(nodes, pki, salt):
    """Go signs with the longest salt that fits, others with one of the hash's length"""
    _, root, _ = pki
    leaf = pop.issue("salt", root, key=pop.rsa_key())
    attest(nodes, leaf.key, leaf, salt=salt)[0].close()


def test_four_intermediates_in_any_order(nodes, pki):
    _, root, _ = pki
    chain = [root]
    for depth in range(4):
        chain.append(pop.authority(f"middle {depth}", issuer=chain[-1]))
    leaf = pop.issue("deep", chain[-1])
    for middle in (chain[1:], chain[:0:-1]):
        agent, identity = attest(nodes, leaf.key, leaf, *middle)
        agent.close()
    found = {s.value for s in agents(nodes)[identity.id].selectors if s.value.startswith("ca:")}
    assert found == {f"ca:fingerprint:{one.fingerprint}" for one in chain}


# What is refused


def test_spire_1_14_2_cpu_exhaustion_by_long_chains_and_big_keys(nodes, pki):
    """Number of certificates and size of keys are judged before any signature: these chains hold nothing to verify"""
    _, root, _ = pki
    leaf = pop.issue("node", root)
    strangers = [pop.authority(f"stranger {n}") for n in range(5)]
    error = refused(nodes, leaf.key, leaf, *strangers)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "more than 4 intermediate certificates" in error.details()
    giant = rsa.RSAPublicNumbers(65537, (1 << 16383) | int.from_bytes(os.urandom(1024), "big") | 1).public_key()
    huge = pop.issue("huge", public_key=giant)
    for chain in ([huge], [leaf, huge], [leaf, strangers[0], huge]):
        error = refused(nodes, leaf.key, *chain)
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert f"the key of certificate {len(chain) - 1} has 16384 bits" in error.details()
    # A thousand certificates do not even get decoded.
    many = json.dumps({"certificates": ["AAAA"] * 1000}).encode()
    assert "intermediate" in refused(nodes, leaf.key, payload=many).details()
    assert "larger than" in refused(nodes, leaf.key, payload=b"{" + b" " * 200_000 + b"}").details()


def test_a_signature_for_another_challenge_is_refused(nodes, pki):
    """Replay: what answered one challenge rightly answers no other"""
    _, root, _ = pki
    for key in (new_key(), pop.rsa_key()):
        leaf = pop.issue("replay", root, key=key)
        kept = []
        attest(nodes, key, leaf, answer=lambda c: kept.append(pop.answerer(key)(c)) or kept[0])[0].close()
        error = refused(nodes, key, leaf, answer=lambda challenge: kept[0])
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT and "does not verify" in error.details()


@pytest.mark.parametrize("kind", ["p256", "rsa2048"])
def test_wrong_answers_are_refused(nodes, pki, kind):
    _, root, _ = pki
    key, thief = KEYS[kind](), KEYS[kind]()
    leaf = pop.issue("wrong", root, key=key)

    def flipped(challenge):
        message = json.loads(pop.answerer(key)(challenge))
        fields = message["rsa_signature"] or message["ecdsa_signature"]
        name = "signature" if "signature" in fields else "s"
        raw = bytearray(base64.b64decode(fields[name]))
        raw[-1] ^= 1
        fields[name] = base64.b64encode(bytes(raw)).decode()
        return json.dumps(message).encode()

    answers = {
        "another key": lambda c: pop.response(thief, pop.nonce_of(c, key)),
        "another nonce": lambda c: pop.response(key, os.urandom(32)),
        "nonces the other way round": lambda c: pop.response(key, os.urandom(32), ours=pop.nonce_of(c, key)),
        "a short nonce": lambda c: pop.response(key, pop.nonce_of(c, key), ours=b"short"),
        "a shifted boundary": lambda c: pop.response(key, pop.nonce_of(c, key), ours=b"x" * 33),
        "a flipped bit": flipped,
        "another kind": lambda c: pop.response(pop.rsa_key() if kind == "p256" else new_key(), os.urandom(32)),
        "nothing": lambda c: b"",
        "not JSON": lambda c: b"\xff\x00",
        "both kinds": lambda c: b'{"rsa_signature":{},"ecdsa_signature":{}}',
        "too much": lambda c: b"x" * 1_000_000,
    }
    for name, answer in answers.items():
        error = refused(nodes, key, leaf, answer=answer)
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, name
    assert f"{nodes.id}/spire/agent/x509pop/{leaf.fingerprint}" not in agents(nodes)


def test_certificates_that_do_not_count(nodes, pki):
    _, root, _ = pki
    stranger = pop.authority("node root")  # the same name, another key
    middle = pop.issue("no authority", root)
    limited = pop.authority("limited", issuer=root, path_length=0)
    below = pop.authority("below", issuer=limited)
    expired = pop.authority("expired", issuer=root, end=timedelta(minutes=-1))
    chains = {
        "not anchored": [pop.issue("a", stranger)],
        "not anchored, with its root": [pop.issue("b", stranger), stranger],
        "self-signed": [pop.issue("c")],
        "below an end certificate": [pop.issue("d", middle), middle],
        "path too long": [pop.issue("e", below), below, limited],
        "expired": [pop.issue("f", root, end=timedelta(minutes=-1))],
        "not yet valid": [pop.issue("g", root, start=timedelta(hours=1))],
        "below an expired authority": [pop.issue("h", expired), expired],
        "not for signatures": [pop.issue("i", root, signs=False)],
        "a missing link": [pop.issue("j", below), limited],
    }
    for name, chain in chains.items():
        error = refused(nodes, chain[0].key, *chain)
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, name
        assert "x509pop:" in error.details(), name
    edwards = ed25519.Ed25519PrivateKey.generate()
    leaf = pop.issue("k", root, public_key=edwards.public_key())
    assert refused(nodes, leaf.key, leaf).code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "payload", [b"x", b"{}", b"[]", b'{"certificates":[]}', b'{"certificates":["%%%"]}', b'{"certificates":["AAAA"]}']
)
def test_a_malformed_payload_is_refused(nodes, payload):
    assert refused(nodes, new_key(), payload=payload).code() == grpc.StatusCode.INVALID_ARGUMENT


def test_without_configuration_the_method_is_unknown(server):
    assert refused(server, new_key(), pop.issue("n")).code() == grpc.StatusCode.FAILED_PRECONDITION


# Again and never again


def test_again_after_eviction_and_never_after_a_ban(nodes, pki):
    """Attesting again makes the earlier certificate inactive; renewing is refused with MUST_REATTEST"""
    _, root, _ = pki
    leaf = pop.issue("again", root)
    first, identity = attest(nodes, leaf.key, leaf, adopt=True)
    with first:
        first.sync()
        with pytest.raises(grpc.RpcError) as error:
            first.renew()
        assert error.value.code() == grpc.StatusCode.PERMISSION_DENIED
        assert denied_reason(error.value) == "AGENT_MUST_REATTEST"
        second, renewed = attest(nodes, leaf.key, leaf, adopt=True)
        with second:
            assert renewed.id == identity.id and renewed.serial != identity.serial
            second.sync()
            with pytest.raises(grpc.RpcError):
                first.sync()
    nodes.admin.evict(identity.id)
    attest(nodes, leaf.key, leaf)[0].close()
    nodes.admin.ban(identity.id)
    error = refused(nodes, leaf.key, leaf, answer=lambda challenge: pytest.fail("a banned node is not challenged"))
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED and denied_reason(error) == "AGENT_BANNED"
    assert agents(nodes)[identity.id].banned


def test_attestations_and_refusals_are_in_the_log(nodes, pki):
    _, root, _ = pki
    leaf = pop.issue("log", root)
    attest(nodes, leaf.key, leaf)[0].close()
    listed = json.loads(nodes.cli("log", "list", "-count", 5000, "-output", "json").stdout)["entries"]
    ours = [text for text in map(json.dumps, listed) if leaf.fingerprint in text and "node.attest" in text]
    assert ours and all('"x509pop"' in text for text in ours)


# Mode spiffe


@pytest.fixture(scope="module")
def exchange():
    domain = start_server("exchange.test", extra=["-x509popMode", "spiffe"])
    yield domain
    domain.discard()


def mint(domain, path: str) -> pop.Certified:
    key = new_key()
    request = m.svid.MintX509SVIDRequest(csr=csr(key, uri=domain.id + path))
    svid = m.svid_grpc.SVIDStub(domain.admin.channel).MintX509SVID(request, timeout=20).svid
    return pop.Certified(x509.load_der_x509_certificate(svid.cert_chain[0]), key)


def test_an_svid_is_exchanged_for_a_nodes(exchange):
    svid = mint(exchange, "/spire-exchange/rack/7")
    agent, identity = attest(exchange, svid.key, svid, adopt=True)
    with agent:
        assert identity.id == f"{exchange.id}/spire/agent/x509pop/rack/7" and identity.reattestable
        agent.sync()


@pytest.mark.parametrize("path", ["/other/rack", "/spire-exchange", "/spire-exchanges/rack"])
def test_an_svid_of_another_path_is_not_exchanged(exchange, path):
    svid = mint(exchange, path)
    assert refused(exchange, svid.key, svid).code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_certificate_of_another_authority_is_not_exchanged(exchange):
    root = pop.authority("SPIFFE")
    leaf = pop.issue("x", root, uris=[f"{exchange.id}/spire-exchange/rack"])
    assert refused(exchange, leaf.key, leaf).code() == grpc.StatusCode.INVALID_ARGUMENT


# Settings


def test_settings_that_make_no_sense(pki, tmp_path):
    folder, _, _ = pki
    for flags in (
        ["-x509popMode", "tpm"],
        ["-x509popMode", "external_pki"],
        ["-x509popMode", "spiffe", "-x509popCABundle", folder / "root.pem"],
        ["-x509popCABundle", tmp_path / "none.pem"],
        ["-x509popCABundle", folder / "root.key"],
    ):
        assert run_cli("server", "run", "-trustDomain", "a.test", "-dataDir", tmp_path, *flags, check=False).returncode
    for flags in (["-x509popPrivateKey", folder / "root.key"], ["-rebootstrapMode", "sometimes"]):
        assert run_cli("agent", "run", "-trustDomain", "a.test", "-dataDir", tmp_path, *flags, check=False).returncode


# Our own node agent


class NodeAgent:
    """`agentshield agent run` that attests by a certificate."""

    def __init__(self, domain, certificate: Path, key: Path, *flags):
        self.domain, self.folder = domain, domain.folder
        self.arguments = ["-x509popCertificate", certificate, "-x509popPrivateKey", key, *flags]
        self.process = None

    def start(self) -> "NodeAgent":
        ready = self.folder / "x509pop.json"
        ready.unlink(missing_ok=True)
        host, _, port = self.domain.node_api.rpartition(":")
        self.process = Process(
            "x509pop",
            [
                shield.default_binary(), "agent", "run", "-dataDir", self.folder / "x509pop", "-trustDomain",
                self.domain.name, "-serverAddress", host, "-serverPort", port, "-trustBundle",
                self.folder / "data" / "bundle.pem", "-socketPath", self.folder / "x.sock", "-readyFile", ready,
                "-syncInterval", "1s", *self.arguments,
            ],
            self.folder,
        )  # fmt: skip
        self.domain.processes.append(self.process)
        self.domain.learn({"workloadAPISocket": self.process.wait_ready(ready)["workloadAPISocket"]})
        return self

    def stop(self) -> None:
        self.domain.processes.remove(self.process)
        assert self.process.stop() == 0


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048"])
def test_our_node_agent_attests(nodes, pki, tmp_path, kind):
    """Served by an entry for the node's selector; it comes back by itself after an eviction"""
    _, root, _ = pki
    middle = pop.authority("middle", issuer=root)
    leaf = pop.issue(f"ours {kind}", middle, key=KEYS[kind]())
    certificate, key = leaf.write(tmp_path, "node")
    (tmp_path / "middle.pem").write_bytes(middle.pem)
    agent = NodeAgent(nodes, certificate, key, "-x509popIntermediates", tmp_path / "middle.pem").start()
    try:
        node = f"{nodes.id}/spire/agent/x509pop/{leaf.fingerprint}"
        assert agents(nodes)[node].can_reattest
        alias = nodes.admin.create_one(
            entry(f"{nodes.id}/{kind}", f"{nodes.id}/spire/server", [f"x509pop:subject:cn:ours {kind}"])
        )
        work = nodes.entry(f"/work-{kind}", parent=f"/{kind}")
        nodes.wait_for_ids(f"/work-{kind}")
        before = agents(nodes)[node].x509svid_serial_number
        nodes.cli("agent", "evict", "-spiffeID", node)
        eventually(
            lambda: getattr(agents(nodes).get(node), "x509svid_serial_number", before) != before,
            "the evicted agent is back",
            within=30,
        )
        nodes.wait_for_ids(f"/work-{kind}")
        nodes.admin.delete(work.id, alias.id)
        nodes._made.clear()
    finally:
        nodes.ready.pop("workloadAPISocket", None)
        agent.stop()
        shutil.rmtree(nodes.folder / "x509pop", ignore_errors=True)
