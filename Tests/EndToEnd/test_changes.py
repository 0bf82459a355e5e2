"""Alias, update and delete reach the workload; how long it takes is printed (`-s` or `-rP` shows it), not judged."""

import time

import grpc
import pytest

from harness.polling import eventually
from stage.deployment import Deployment, uid_selector
from wire import messages as m
from wire.admin import entry
from wire.keys import selector


@pytest.fixture(scope="module")
def domain():
    domain = Deployment("changes.test").start()
    try:
        yield domain
    finally:
        domain.discard()


@pytest.fixture
def registry(domain):
    yield domain
    domain.forget_entries()


def measured(what: str, began: float) -> None:
    print(f"{what}: {(time.monotonic() - began) * 1000:.0f} ms")


def node_id(domain) -> str:
    (node,) = domain.admin.agents.ListAgents(m.agent.ListAgentsRequest(), timeout=20).agents
    return domain.id + node.id.path


def test_an_alias_of_this_node_brings_its_entries(registry):
    """As SPIRE makes it for a token: an entry below the node, by whose ID other entries name their parent"""
    registry.entry("/alias/workload", [uid_selector()], parent="/my/alias")
    assert registry.ids() == [], "no node has the alias yet"
    began = time.monotonic()
    alias = registry.admin.create_one(
        entry(f"{registry.id}/my/alias", node_id(registry), [f"spiffe_id:{node_id(registry)}"])
    )
    registry.wait_for_ids("/alias/workload")
    measured("alias to workload", began)
    began = time.monotonic()
    registry.admin.delete(alias.id)
    registry.wait_for_ids()
    measured("alias withdrawn", began)


def test_an_alias_of_another_node_brings_nothing(registry):
    """Its selectors are not this node's"""
    registry.entry("/foreign/workload", [uid_selector()], parent="/foreign/alias")
    alias = registry.admin.create_one(
        entry(f"{registry.id}/foreign/alias", f"{registry.id}/spire/server", ["tpm_devid:ca:fingerprint:00"])
    )
    registry.entry("/own", [uid_selector()])
    registry.wait_for_ids("/own")
    registry.admin.delete(alias.id)


def test_an_entry_under_the_node_itself(registry):
    began = time.monotonic()
    registry.entry("/direct", [uid_selector()], parent=node_id(registry).removeprefix(registry.id))
    registry.wait_for_ids("/direct")
    measured("entry to workload", began)


@pytest.mark.parametrize("change", ["id", "ttl", "dns", "selectors"])
def test_an_update_reaches_the_held_stream(registry, change):
    made = registry.entry("/update", [uid_selector()], x509_svid_ttl=600)
    registry.wait_for_ids("/update")
    fields, mask = {
        "id": ({"spiffe_id": m.types.SPIFFEID(trust_domain=registry.name, path="/renamed")}, {"spiffe_id": True}),
        "ttl": ({"x509_svid_ttl": 300}, {"x509_svid_ttl": True}),
        "dns": ({"dns_names": ["update.test"]}, {"dns_names": True}),
        "selectors": ({"selectors": [selector("unix:uid:4242")]}, {"selectors": True}),
    }[change]
    with registry.workload() as api:
        stream = api.x509_svids(timeout=60)
        try:
            before = next(stream).svids[0]
            began = time.monotonic()
            reply = registry.admin.entries.BatchUpdateEntry(
                m.entry.BatchUpdateEntryRequest(
                    entries=[m.types.Entry(id=made.id, **fields)], input_mask=m.types.EntryMask(**mask)
                ),
                timeout=20,
            )
            assert reply.results[0].status.code == 0
            if change == "selectors":
                with pytest.raises(grpc.RpcError) as ended:
                    next(stream)
                assert ended.value.code() == grpc.StatusCode.PERMISSION_DENIED
            else:
                after = next(stream).svids[0]
                for _ in range(3):
                    if after.x509_svid != before.x509_svid:
                        break
                    after = next(stream).svids[0]
                assert after.x509_svid != before.x509_svid, "a new SVID for the new terms"
                assert after.spiffe_id == registry.id + ("/renamed" if change == "id" else "/update")
            measured(f"update of {change} to held stream", began)
        finally:
            stream.cancel()


@pytest.mark.parametrize("stream_of", ["x509_svids", "x509_bundles", "jwt_bundles"])
def test_deletion_ends_every_stream_with_permission_denied(registry, stream_of):
    made = registry.entry("/delete", [uid_selector()])
    registry.wait_for_ids("/delete")
    with registry.workload() as api:
        stream = getattr(api, stream_of)(timeout=60)
        next(stream)
        began = time.monotonic()
        registry.admin.delete(made.id)
        with pytest.raises(grpc.RpcError) as ended:
            for _ in range(5):
                next(stream)
        measured(f"deletion to the end of {stream_of}", began)
        assert ended.value.code() == grpc.StatusCode.PERMISSION_DENIED
        with pytest.raises(grpc.RpcError) as token:
            api.jwt_svid(["me"])
        assert token.value.code() == grpc.StatusCode.PERMISSION_DENIED, "no token from the cache either"


def test_an_entry_that_expires_is_gone_by_itself(registry):
    registry.entry("/expiring", [uid_selector()], expires_at=int(time.time()) + 3)
    registry.wait_for_ids("/expiring")
    eventually(lambda: registry.ids() == [], "the entry's end reaches the workload", within=30, every=0.3)


def test_create_and_delete_many_times(registry):
    """The delay from the command to the workload, over ten rounds"""
    created, deleted = [], []
    with registry.workload() as api:
        for number in range(10):
            began = time.monotonic()
            made = registry.entry(f"/round/{number}", [uid_selector()])
            while True:
                assert time.monotonic() - began < 15
                stream = api.x509_svids(timeout=15)
                try:
                    message = next(stream)
                    break
                except grpc.RpcError as error:
                    assert error.code() == grpc.StatusCode.PERMISSION_DENIED
            created.append(time.monotonic() - began)
            assert message.svids[0].spiffe_id == f"{registry.id}/round/{number}"
            began = time.monotonic()
            registry.admin.delete(made.id)
            with pytest.raises(grpc.RpcError) as ended:
                next(stream)
            assert ended.value.code() == grpc.StatusCode.PERMISSION_DENIED
            deleted.append(time.monotonic() - began)
    for what, times in (("created to SVID in hand", created), ("deleted to end of stream", deleted)):
        times.sort()
        print(f"{what}: median {times[5] * 1000:.0f} ms, worst {times[-1] * 1000:.0f} ms")


def test_changes_come_by_push_where_nobody_asks(deployment):
    """The node agent would ask once in an hour at the earliest"""
    domain = deployment("pushed.test", agent=["-syncInterval", "1h"])
    made = domain.entry("/pushed", [uid_selector()])
    domain.wait_for_ids("/pushed")
    with domain.workload() as api:
        stream = api.x509_svids(timeout=60)
        assert not next(stream).svids[0].hint
        change = m.entry.BatchUpdateEntryRequest(
            entries=[m.types.Entry(id=made.id, hint="changed")], input_mask=m.types.EntryMask(hint=True)
        )
        assert domain.admin.entries.BatchUpdateEntry(change, timeout=20).results[0].status.code == 0
        while next(stream).svids[0].hint != "changed":
            pass
        domain.admin.delete(made.id)
        with pytest.raises(grpc.RpcError) as ended:
            while True:
                next(stream)
        assert ended.value.code() == grpc.StatusCode.PERMISSION_DENIED
