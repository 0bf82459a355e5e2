"""Many entries: on one agent, in pages, and in the registry.

Registry and directory have 10,000 entries here; `make scale` gives them 100,000 (ENTRIES=…).
"""

import json
import os
import socket
import sqlite3
import threading
import time
import uuid
from pathlib import Path

import grpc
import pytest

from harness import domain as shield
from harness.domain import run_cli
from harness.polling import eventually
from stage.deployment import Deployment, uid_selector
from wire import messages as m
from wire.admin import Admin, entry
from wire.keys import id_text
from wire.workload import first

ENTRIES = int(os.environ.get("ENTRIES") or 10_000)
PARENTS = 500


def create_all(admin: Admin, entries: list) -> list:
    """Creates in batches of 1,000; every one has to be made."""
    made = []
    for start in range(0, len(entries), 1000):
        results = admin.create(*entries[start : start + 1000])
        assert all(result.status.code == 0 for result in results), next(r.status for r in results if r.status.code)
        made.extend(result.entry for result in results)
    return made


class TestConnections:
    @pytest.mark.parametrize("flag", ["-maxConnections", "-maxConnectionsPerSource"])
    def test_the_node_api_closes_what_is_beyond_the_limit(self, flag):
        domain = shield.start_server("scale-limit.test", extra=[flag, "3"])
        host, _, port = domain.node_api.rpartition(":")
        held = []

        def is_let_in() -> bool:
            """Whether a connection stays open, which then is held."""
            connection = socket.create_connection((host, int(port)), 10)
            connection.settimeout(1)
            try:
                assert connection.recv(1) == b"", "a server that speaks first"
            except TimeoutError:
                held.append(connection)
                return True
            except ConnectionError:
                pass
            connection.close()
            return False

        try:
            assert [is_let_in() for _ in range(4)] == [True, True, True, False]
            held.pop().close()
            eventually(is_let_in, "a connection in the place of the one that went", within=10)
        finally:
            for connection in held:
                connection.close()
            domain.discard()


class TestOneAgent:
    COUNT = 1000

    def test_a_thousand_entries_all_arrive_and_a_change_to_one_is_seen(self, deployment):
        domain = deployment("scale-agent.test", server=["-logLevel", "error"], agent=["-logLevel", "error"])
        wanted = {f"{domain.id}/w/{number}" for number in range(self.COUNT)}
        made = create_all(domain.admin, [entry(id, domain.id + shield.ANY_NODE, [uid_selector()]) for id in sorted(wanted)])
        with domain.workload() as api:
            found: dict = {}

            def all_there() -> bool:
                try:
                    svids = first(api.x509_svids(timeout=60)).svids
                except grpc.RpcError:
                    return False
                found.clear()
                found.update((svid.spiffe_id, svid) for svid in svids)
                assert len(found) == len(svids), "no identity twice"
                return set(found) == wanted

            eventually(all_there, f"one workload has {self.COUNT} identities", within=120, every=0.5)
            stream = api.x509_svids(timeout=120)
            assert {svid.spiffe_id for svid in next(stream).svids} == wanted

            # Another hint for one, another ID for a second, an end for a third.
            hinted, renamed, gone, untouched = made[17], made[500], made[999], id_text(made[3].spiffe_id)
            removed = {id_text(renamed.spiffe_id), id_text(gone.spiffe_id)}
            hinted.hint = "the changed one"
            renamed.spiffe_id.path = "/renamed"
            request = m.entry.BatchUpdateEntryRequest(entries=[hinted, renamed])
            statuses = [result.status.code for result in domain.admin.entries.BatchUpdateEntry(request, timeout=20).results]
            assert statuses == [0, 0]
            domain.admin.delete(gone.id)
            expected = (wanted | {f"{domain.id}/renamed"}) - removed
            for message in stream:
                by_id = {svid.spiffe_id: svid for svid in message.svids}
                if set(by_id) == expected and by_id[id_text(hinted.spiffe_id)].hint == "the changed one":
                    break
            else:
                pytest.fail("the stream ended before the change came")
            # What did not change was not signed anew.
            assert by_id[untouched].x509_svid == found[untouched].x509_svid
            stream.cancel()


@pytest.fixture(scope="module")
def listed():
    """5,000 entries, and their IDs in the order of one large page."""
    domain = shield.start_server("scale-pages.test", extra=["-logLevel", "error"])
    try:
        made = create_all(
            domain.admin, [entry(f"{domain.id}/kept/{n}", f"{domain.id}/p/{n % 7}", ["unix:uid:1"]) for n in range(5000)]
        )
        order = [one.id for one in domain.admin.list_entries(page_size=5000)]
        assert sorted(order) == sorted(one.id for one in made)
        yield domain, order
    finally:
        domain.discard()


class TestPages:
    @pytest.mark.parametrize("size", [1, 499, 1000, 5000])
    def test_no_page_size_loses_or_repeats_an_entry(self, listed, size):
        domain, kept = listed
        assert [one.id for one in domain.admin.list_entries(page_size=size)] == kept

    @pytest.mark.parametrize("size", [1, 499, 1000, 5000])
    def test_nothing_is_lost_or_repeated_while_entries_come_and_go(self, listed, size):
        """What is there all the time is listed once; what comes and goes is listed at most once."""
        domain, kept = listed
        halt, turns, errors = threading.Event(), [], []

        def churn() -> None:
            admin = Admin(domain.admin_socket)
            try:
                while not halt.is_set():
                    names = [f"{domain.id}/passing/{len(turns)}-{n}" for n in range(20)]
                    made = admin.create(*[entry(name, f"{domain.id}/p/1", ["unix:uid:1"]) for name in names])
                    assert all(result.status.code == 0 for result in made)
                    gone = admin.delete(*[result.entry.id for result in made])
                    assert all(result.status.code == 0 for result in gone)
                    turns.append(len(made))
            except Exception as error:  # noqa: BLE001 - it is the test's
                errors.append(error)
            finally:
                admin.close()

        thread = threading.Thread(target=churn, daemon=True)
        thread.start()
        try:
            for _ in range(1 if size == 1 else 5):
                found = [one.id for one in domain.admin.list_entries(page_size=size)]
                assert len(found) == len(set(found)), "an entry was listed twice"
                wanted = set(kept)
                assert [id for id in found if id in wanted] == kept
        finally:
            halt.set()
            thread.join(30)
        assert not errors and not thread.is_alive(), errors
        assert turns, "nothing came and went"
        assert [one.id for one in domain.admin.list_entries(page_size=1000)] == kept


class TestDirectory:
    def test_a_large_directory_is_loaded_listed_and_found(self, monkeypatch):
        # With all of them a debug build takes its time.
        monkeypatch.setattr("harness.process.START_TIMEOUT", 300)
        domain = Deployment("directory.test", server=["-logLevel", "error"])
        try:
            domain.start_server()
            domain.cli("identity", "create", "-name", "first", "-spiffeID", f"{domain.id}/first", "-owner", "ops@example.org",
                       "-sponsor", "lead@example.org")  # fmt: skip
            domain.cli("resource", "create", "-id", "api://b", "-scope", "read")
            domain.cli("grant", "create", "-agent", "first", "-resource", "api://b", "-scope", "read")
            empty = resident(domain.server.pid)
            domain.end(domain.server)
            with sqlite3.connect(domain.data / "registry.sqlite") as database:
                bodies = dict(database.execute("SELECT kind, body FROM directory_record").fetchall())
                agent, grant = json.loads(bodies["agent"]), json.loads(bodies["grant"])
                for n in range(ENTRIES - 1):
                    id = str(uuid.UUID(int=n, version=4))
                    for kind, record in (
                        ("agent", {**agent, "id": id, "name": f"agent-{n}", "spiffe_id": f"{domain.id}/agent/{n}"}),
                        ("grant", {**grant, "id": id, "agent": id}),
                    ):
                        database.execute("INSERT INTO directory_record VALUES (?, ?, ?)", (kind, id, json.dumps(record).encode()))
            begin = time.monotonic()
            domain.start_server()
            print(f"start with {ENTRIES} agents and as many grants: {time.monotonic() - begin:.2f} s, "
                  f"{(resident(domain.server.pid) - empty) / ENTRIES:.2f} KiB each")  # fmt: skip
            whole = run_cli("identity", "list", "-output", "json", "-socketPath", domain.admin_socket, timeout=600)
            listed = json.loads(whole.stdout)["identities"]
            assert len({one["id"] for one in listed}) == len(listed) == ENTRIES
            last = f"agent-{ENTRIES - 2}"
            assert domain.cli_json("identity", "disable", "-id", last)["state"] == "disabled"
            assert [one["name"] for one in domain.cli_json("identity", "list", "-state", "disabled")["identities"]] == [last]
            assert len(domain.cli_json("grant", "list", "-agent", last)["grants"]) == 1
        finally:
            domain.discard()


def resident(pid: int) -> int:
    """Memory of a process in KiB."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1])


class TestRegistry:
    def test_a_large_registry_counts_lists_and_finds_the_same_after_a_restart(self):
        domain = shield.start_server("scale.test", extra=["-logLevel", "error"])
        folder, socket = domain.folder, domain.admin_socket
        try:
            made = create_all(
                domain.admin,
                [
                    entry(f"{domain.id}/w/{n}", f"{domain.id}/node/{n % PARENTS}", [f"unix:uid:{n % 1000}", f"unix:gid:{n % 3}"])
                    for n in range(ENTRIES)
                ],
            )  # fmt: skip
            assert len({one.id for one in made}) == ENTRIES
            self.check(domain, made)
            # A few changes, so that what is there is not only what was loaded.
            domain.admin.delete(*[one.id for one in made[:10]])
            changed = made[10]
            changed.hint = "changed"
            (result,) = domain.admin.entries.BatchUpdateEntry(
                m.entry.BatchUpdateEntryRequest(entries=[changed]), timeout=20
            ).results
            assert result.status.code == 0
            made = [result.entry, *made[11:]]
            self.check(domain, made)
            assert domain.stop() == [0]

            begin = time.monotonic()
            domain = shield.start_server("scale.test", folder=folder, extra=["-logLevel", "error"])
            print(f"restart with {len(made)} entries: {time.monotonic() - begin:.2f} s")
            assert domain.admin_socket == socket
            self.check(domain, made)
            # And it still takes changes.
            twin = m.types.Entry(spiffe_id=made[5].spiffe_id, parent_id=made[5].parent_id, selectors=made[5].selectors)
            (refused,) = domain.admin.create(twin)
            assert (refused.status.code, refused.entry.id) == (grpc.StatusCode.ALREADY_EXISTS.value[0], made[5].id)
            again = domain.entry("/after", ["unix:uid:1"])
            assert domain.admin.list_entries(by_spiffe_id=again.spiffe_id)[0].id == again.id
        finally:
            domain.discard()

    @staticmethod
    def check(domain, made: list) -> None:
        admin = domain.admin
        assert admin.entries.CountEntries(m.entry.CountEntriesRequest(), timeout=60).count == len(made)
        listed = admin.list_entries(page_size=1000)
        assert len(listed) == len(made)
        assert {one.id: one for one in listed} == {one.id: one for one in made}, "the same entries, field by field"
        times = [one.created_at for one in listed]
        assert times == sorted(times), "in the order of their making"
        for place in (0, 1, len(made) // 3, len(made) - 1):
            one = made[place]
            assert admin.entries.GetEntry(m.entry.GetEntryRequest(id=one.id), timeout=20) == one
            assert admin.list_entries(by_spiffe_id=one.spiffe_id) == [one]
            brothers = [other for other in listed if other.parent_id == one.parent_id]
            assert admin.list_entries(by_parent_id=one.parent_id) == brothers
            match = m.types.SelectorMatch(selectors=one.selectors, match=m.types.SelectorMatch.MATCH_EXACT)
            equals = [other for other in listed if list(other.selectors) == list(one.selectors)]
            assert admin.list_entries(by_selectors=match) == equals
        with pytest.raises(grpc.RpcError) as caught:
            admin.entries.GetEntry(m.entry.GetEntryRequest(id="00000000-0000-4000-8000-000000000000"), timeout=20)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
