"""The product needs no privilege: everything works when it runs as an ordinary user."""

import os
import subprocess
import sys

import pytest
from spiffe import WorkloadApiClient

from harness import rules
from harness.as_user import ask
from harness.domain import default_binary, reachable_by, start_up
from harness.polling import eventually


NOBODY = 65534


@pytest.fixture(scope="module")
def ordinary():
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root; without it every other test runs as an ordinary user anyway")
    if not reachable_by(NOBODY):
        pytest.skip(f"uid {NOBODY} cannot run {default_binary()}")
    domain = start_up("unprivileged.test", user=NOBODY)
    try:
        yield domain
        assert domain.stop() == [0]
    finally:
        domain.discard()


def test_it_serves_workloads_of_every_user(ordinary):
    ordinary.entry("/mine")
    ordinary.entry("/theirs", selectors=[f"unix:uid:{NOBODY}"])
    ordinary.wait_for_ids("/mine")
    with WorkloadApiClient(ordinary.endpoint, default_timeout=15) as client:
        svid = client.fetch_x509_svid()
        rules.check_leaf(svid.leaf, f"{ordinary.id}/mine")
        assert client.fetch_jwt_svid(audience={"me"}).spiffe_id.path == "/mine"
    answer = eventually(
        lambda: (got := ask(NOBODY, ordinary.workload_socket)) and got["code"] == "OK" and got,
        "the other user's identity",
    )
    assert answer["stock"] == [f"{ordinary.id}/theirs"]


def test_it_attests_node_agents_over_mutual_tls(ordinary):
    with ordinary.spire_agent() as agent:
        agent.attest(ordinary.admin.join_token().encode())
        agent.sync()
        agent.adopt(agent.renew())
        agent.sync()


def test_what_it_leaves_on_disk_is_its_own(ordinary):
    for folder, _, files in os.walk(ordinary.folder / "data"):
        for path in [folder, *(os.path.join(folder, name) for name in files)]:
            status = os.lstat(path)
            assert status.st_uid == NOBODY and status.st_mode & 0o022 == 0, path


def test_its_owner_may_administer_it_and_nobody_else(ordinary):
    """Root may always; a third user may not"""
    third = NOBODY - 1
    code = (
        "import os, socket, sys\n"
        f"os.setgroups([]); os.setgid({third}); os.setuid({third})\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        "try:\n    s.connect(sys.argv[1])\nexcept PermissionError:\n    sys.exit(7)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, ordinary.admin_socket], timeout=20)
    assert done.returncode == 7
