"""What the audit log says of malformed calls: every one is refused, and recorded within the limits."""

import json
import os

import grpc
import pytest

from harness.polling import eventually
from wire import messages as m
from wire.admin import entry
from wire.keys import broken_csr, new_key, spiffe_id

AGENT, ENTRY, SVID, BUNDLE = (
    f"spire.api.server.{name}.v1.{service}"
    for name, service in (("agent", "Agent"), ("entry", "Entry"), ("svid", "SVID"), ("bundle", "Bundle"))
)
SINGLY = 5


def refusals(domain, kind: str) -> list[dict]:
    """The events of one type, oldest first."""
    shown = domain.cli("log", "list", "-count", 5000, "-output", "json").stdout
    events = [e["event"] for e in json.loads(shown)["entries"]]
    return [e for e in events if e["type"] == kind]


def refused(call) -> None:
    with pytest.raises(grpc.RpcError) as error:
        call()
    assert error.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)


def raw(admin, method: str, message: bytes):
    call = admin.channel.unary_unary(f"/{method}", lambda data: data, lambda data: data)
    return call(message, timeout=10)


class TestAdministration:
    CALLS = {
        f"{ENTRY}/GetEntry": lambda s: s.admin.entries.GetEntry(m.entry.GetEntryRequest(), timeout=10),
        f"{ENTRY}/ListEntries": lambda s: s.admin.entries.ListEntries(
            m.entry.ListEntriesRequest(page_token="nobody's"), timeout=10
        ),
        f"{SVID}/MintX509SVID": lambda s: s.admin.svids.MintX509SVID(
            m.svid.MintX509SVIDRequest(csr=broken_csr(new_key())), timeout=10
        ),
        f"{AGENT}/GetAgent": lambda s: s.admin.agents.GetAgent(
            m.agent.GetAgentRequest(id=spiffe_id("spiffe://elsewhere.test/spire/agent/x")), timeout=10
        ),
        f"{BUNDLE}/GetFederatedBundle": lambda s: s.admin.bundles.GetFederatedBundle(
            m.bundle.GetFederatedBundleRequest(trust_domain="not a name"), timeout=10
        ),
        f"{ENTRY}/CountEntries": lambda s: raw(s.admin, f"{ENTRY}/CountEntries", b"\xff\xff\xff\xff"),
        f"{SVID}/MintJWTSVID": lambda s: raw(s.admin, f"{SVID}/MintJWTSVID", bytes(5 << 20)),
    }

    @pytest.mark.parametrize("method", CALLS)
    def test_a_malformed_call_is_refused_and_recorded(self, server, method):
        refused(lambda: self.CALLS[method](server))

        def record():
            found = [e for e in refusals(server, "request.refuse") if e["resource"]["id"] == method]
            return found[0] if found else None

        event = eventually(record, f"{method} is in the log")
        assert event["decision"]["result"] == "deny"
        assert event["agent"]["peer"]["pid"] == os.getpid()

    def test_items_of_a_batch_are_recorded_once_and_the_good_ones_not(self, server):
        good = entry(f"{server.id}/good", f"{server.id}/node", ["unix:uid:1"])
        malformed = m.types.Entry(spiffe_id=m.types.SPIFFEID(trust_domain="no name", path="/x"))
        foreign = entry("spiffe://elsewhere.test/x", f"{server.id}/node", ["unix:uid:1"])
        before = {kind: len(refusals(server, kind)) for kind in ("request.refuse", "entry.create")}
        codes = [r.status.code for r in server.admin.create(good, malformed, foreign)]
        assert codes == [0, 3, 3]
        method = f"{ENTRY}/BatchCreateEntry"
        eventually(
            lambda: len([e for e in refusals(server, "request.refuse") if e["resource"]["id"] == method]) == 1,
            "the malformed item has one record",
        )
        # The registry refused the foreign one, and says so in its own words: intent, outcome, refusal.
        assert len(refusals(server, "entry.create")) - before["entry.create"] == 3
        assert server.cli("log", "verify").returncode == 0


class TestNodeAPI:
    def test_a_malformed_attestation_is_recorded_within_the_limits(self, server):
        method = f"{AGENT}/AttestAgent"

        def records():
            return [e for e in refusals(server, "request.refuse") if e["resource"]["id"] == method]

        with server.spire_agent() as agent:
            call = agent.channel.stream_stream(f"/{method}", lambda data: data, lambda data: data)
            for _ in range(SINGLY + 20):
                refused(lambda: list(call(iter([b""]), timeout=10)))
        eventually(lambda: len(records()) == SINGLY, "each has a record up to the limit")
        assert {e["agent"]["peer"]["address"].rpartition(":")[0] for e in records()} == {"127.0.0.1"}


class TestWorkloadAPI:
    def records(self, domain, method: str) -> list[dict]:
        return [e for e in refusals(domain, "workload.refuse") if e["resource"]["id"] == method]

    @pytest.mark.parametrize("headers", [(), (("workload.spiffe.io", "false"),)], ids=["missing", "wrong"])
    def test_a_call_without_the_security_header_is_recorded(self, up, headers):
        before = len(self.records(up, "FetchX509SVID"))
        with up.workload() as api:
            refused(lambda: next(api.x509_svids(headers=headers)))
        eventually(lambda: len(self.records(up, "FetchX509SVID")) == before + 1, "the call is in the log")
        event = self.records(up, "FetchX509SVID")[-1]
        assert event["agent"]["peer"]["pid"] == os.getpid()
        assert event["agent"]["peer"]["uid"] == os.geteuid()

    def test_a_token_that_is_not_valid_is_recorded_within_the_limits(self, up):
        with up.workload() as api:
            for _ in range(SINGLY + 20):
                refused(lambda: api.validate("a", "no.token.atall"))
        eventually(lambda: len(self.records(up, "ValidateJWTSVID")) == SINGLY, "each has a record up to the limit")
        assert all("atall" not in json.dumps(e) for e in self.records(up, "ValidateJWTSVID"))

    def test_a_malformed_request_is_recorded(self, up):
        with up.workload() as api:
            refused(lambda: api.jwt_svid([]))
        eventually(lambda: len(self.records(up, "FetchJWTSVID")) == 1, "the call is in the log")
