"""Who a workload is by its systemd unit: real control groups, named as systemd names them, without a systemd."""

import os
from pathlib import Path

import pytest

from harness.polling import eventually
from stage.relay import PERL, Relay
from test_audit import svids

pytestmark = [
    pytest.mark.skipif(PERL is None, reason="the workload of these tests needs perl"),
    pytest.mark.skipif(os.geteuid() != 0, reason="making control groups needs root"),
    pytest.mark.together("systemd's control groups"),
]


def hierarchy() -> Path:
    """Where systemd's groups are: its own hierarchy of version 1 if processes are in one, version 2 otherwise."""
    controllers = [line.split(":")[1] for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        rest = fields[fields.index("-") + 1 :]
        own = rest[0] == "cgroup" and "name=systemd" in rest[2].split(",")
        if own or ("name=systemd" not in controllers and rest[0] == "cgroup2"):
            if fields[3] == "/":
                return Path(fields[4])
    pytest.skip("no control groups are mounted here")


@pytest.fixture
def group():
    """Makes groups and puts processes into them: `group("system.slice/x.service", pid)`; all are gone at the end."""
    root, made = hierarchy(), []

    def put(path: str, pid: int) -> None:
        folder = root
        for part in path.split("/"):
            folder = folder / part
            if not folder.exists():
                try:
                    folder.mkdir()
                except OSError as error:
                    pytest.skip(f"control groups are not writable here: {error}")
                made.append(folder)
        try:
            (folder / "cgroup.procs").write_text(str(pid))
        except OSError as error:
            pytest.skip(f"processes cannot be moved here: {error}")

    yield put
    for folder in reversed(made):
        eventually(lambda: not (folder / "cgroup.procs").read_text() or None, "its processes have ended")  # noqa: B023
        folder.rmdir()


@pytest.fixture(params=["agent run", "up"])
def domain(request):
    if request.param == "agent run":
        return request.getfixturevalue("deployment")("systemd.test", agent=["-discoverSystemdUnit"])
    return request.getfixturevalue("one_process")("systemd.test", extra=["-discoverSystemdUnit"])


def test_a_process_of_a_unit_gets_the_units_identity_and_no_other_process_does(group, domain):
    relays = []
    try:
        unit = f"agentshield-test-{os.getpid()}.service"
        domain.entry("/weather", [f"systemd:id:{unit}", "unix:uid:0"])
        for _ in range(3):
            relays.append(Relay(domain.workload_socket, domain.folder))
        of_unit, of_another, outside = relays
        group(f"system.slice/{unit}", of_unit.pid)
        # The name further down is no unit's: there the processes of a unit may make groups themselves.
        group(f"system.slice/other-{unit}/{unit}", of_another.pid)
        eventually(lambda: svids(of_unit.api) == [f"{domain.id}/weather"], "the unit's identity")
        assert svids(of_another.api) is None and svids(outside.api) is None
        # What a user's own manager starts is in the unit of that manager.
        domain.entry("/user", ["systemd:id:user@1000.service"])
        group(f"user.slice/user-1000.slice/user@1000.service/app.slice/{unit}", of_another.pid)
        eventually(lambda: svids(of_another.api) == [f"{domain.id}/user"], "the identity of the user's manager")
    finally:
        for relay in relays:
            relay.close()
