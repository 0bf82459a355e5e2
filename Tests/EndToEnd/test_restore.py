"""A control plane is put back to a copy of its data directory, made as the documentation says: what holds then, and what is lost."""

import json
import subprocess

import pytest

from harness.domain import default_binary, run_cli
from harness.polling import eventually
from stage.deployment import Deployment, log_events, uid_selector


def copy(domain, name: str) -> None:
    """Stops the control plane, copies its directory as a whole, starts it again."""
    assert domain.end(domain.server) == 0
    subprocess.run(["cp", "-a", domain.data, domain.folder / name], check=True)
    domain.start_server()


def restore(domain, name: str) -> None:
    """The other way round; what was there dies."""
    domain.end(domain.server, 9)
    domain.data.rename(domain.folder / "lost")
    (domain.folder / name).rename(domain.data)
    domain.start_server()


def size(domain) -> int:
    """Of the log, by its signed checkpoint."""
    found = json.loads(run_cli("log", "checkpoint", "-output", "json", "-socketPath", domain.admin_socket).stdout)
    return int(found["checkpoint"].splitlines()[1])


@pytest.fixture(scope="module")
def restored():
    """A domain that is back at its copy: an entry was deleted since, another made, one identity revoked, the log went on."""
    domain = Deployment("restore.test").start()
    try:
        yield back_at_copy(domain)
    finally:
        domain.discard()


def back_at_copy(domain: Deployment) -> Deployment:
    kept = domain.entry("/kept", [uid_selector()])
    deleted = domain.entry("/deleted", [uid_selector()])
    domain.wait_for_ids("/kept", "/deleted")
    copy(domain, "backup")
    domain.wait_for_ids("/kept", "/deleted")
    domain.admin.delete(deleted.id)
    made = domain.entry("/made", [uid_selector()])
    domain.wait_for_ids("/kept", "/made")
    domain.cli("revoke", "-spiffeID", f"{domain.id}/kept", "-reason", "stolen")
    domain.wait_for_ids("/made")
    domain.newer = size(domain)
    assert run_cli("log", "verify", "-dataDir", domain.folder / "backup").returncode == 0
    restore(domain, "backup")
    domain.ids_of_entries = {entry.id for entry in domain.admin.list_entries()}
    domain.kept, domain.deleted, domain.made = kept, deleted, made
    return domain


def test_a_restored_control_plane_serves_and_its_log_verifies(restored):
    run_cli("log", "verify", "-socketPath", restored.admin_socket)
    restored.admin.delete(restored.entry("/after", [uid_selector()]).id)
    events = log_events(restored)
    assert [item["index"] for item in events] == list(range(len(events)))


def test_what_came_after_the_copy_is_undone(restored):
    assert {restored.kept.id, restored.deleted.id} <= restored.ids_of_entries
    assert restored.made.id not in restored.ids_of_entries
    # The node agent attested before the copy and holds the same certificate: it follows, to the older state.
    restored.wait_for_ids("/kept", "/deleted", within=30)


def test_revocations_since_then_are_forgotten_and_can_be_made_again(restored):
    assert "stolen" not in run_cli("revoke", "list", "-socketPath", restored.admin_socket).stdout
    restored.wait_for_ids("/kept", "/deleted", within=30)
    restored.cli("revoke", "-spiffeID", f"{restored.id}/kept", "-reason", "stolen")
    restored.wait_for_ids("/deleted", within=30)


def test_whoever_holds_a_newer_checkpoint_sees_that_the_log_went_back(restored):
    known = {data: [item["event"] for item in log_events(restored, data)] for data in (restored.folder / "lost", None)}
    lost, ours = known.values()
    assert len(lost) >= restored.newer
    # The same up to the copy; then two histories under one key.
    same = next(index for index, (one, other) in enumerate(zip(lost, ours)) if one != other)
    assert 0 < same < restored.newer


def test_a_node_that_attested_since_then_needs_a_new_token(deployment):
    domain = deployment("restore.test")
    domain.end(domain.agent)
    copy(domain, "backup")
    # Not known to the copy.
    token, ready = domain.admin.join_token(), domain.folder / "late.json"
    (domain.folder / "bootstrap.pem").write_bytes(domain.roots_pem)

    def late(*join: str) -> subprocess.Popen:
        ready.unlink(missing_ok=True)
        return subprocess.Popen(
            [
                default_binary(), "agent", "run", "-dataDir", domain.folder / "late", "-trustDomain", domain.name,
                "-serverAddress", "127.0.0.1", "-serverPort", str(domain.port), "-trustBundle", domain.folder / "bootstrap.pem",
                "-socketPath", domain.folder / "late.sock", "-readyFile", ready, *join,
            ],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    agent = late("-joinToken", token)
    try:
        eventually(ready.exists, "the late node is ready", within=30)
        restore(domain, "backup")
        assert agent.wait(60) == 1
        agent = late("-joinToken", domain.admin.join_token())
        eventually(ready.exists, "with a new token it is ready again", within=30)
    finally:
        agent.kill()
        agent.wait()
