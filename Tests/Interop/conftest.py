"""Fixtures: real processes of the product on loopback, one trust domain per test file."""

import os
import re
import signal
from pathlib import Path

import pytest

from harness import domain as shield
from harness.process import Process


def pytest_configure(config):
    config.pluginmanager.import_plugin("harness.parallel")
    if not os.access(shield.default_binary(), os.X_OK):
        pytest.exit(
            f"no agentshield at {shield.default_binary()}; run `swift build --product agentshield` "
            "or name one in AGENTSHIELD",
            returncode=2,
        )
    # A caller that gives up ends us with SIGTERM; fixtures must still stop what they started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_unconfigure(config):
    for process in list(Process.alive):
        process.popen.kill()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of every running process's log."""
    report = yield
    if report.failed:
        for process in Process.alive:
            report.sections.append((f"log of {process.name} (pid {process.pid})", process.log()))
    return report


def _name(request) -> str:
    """A trust domain per file, so that a mix-up of two shows in the IDs."""
    stem = Path(str(request.node.path)).stem.removeprefix("test_")
    return re.sub(r"[^a-z0-9]", "-", stem) + ".test"


@pytest.fixture(scope="module")
def up(request):
    """`agentshield up`: control plane and node agent in one process. It must end with 0 on SIGTERM (§8 of the CLI)."""
    domain = shield.start_up(_name(request))
    try:
        yield domain
        assert domain.stop() == [0]
    finally:
        domain.discard()


@pytest.fixture(scope="module")
def server(request):
    """`agentshield server run` without any node agent of ours."""
    domain = shield.start_server(_name(request))
    try:
        yield domain
        assert set(domain.stop()) == {0}
    finally:
        domain.discard()


@pytest.fixture
def agent(server):
    """`agentshield agent run` beside `server`; gives the server's trust domain, which now has a Workload API."""
    process = shield.start_agent(server)
    try:
        yield server
    finally:
        server.forget_entries()
        server.ready.pop("workloadAPISocket", None)
        server.processes.remove(process)
        assert process.stop() == 0


@pytest.fixture
def registry(up):
    """`up` with the entries of this test deleted afterwards."""
    yield up
    up.forget_entries()


@pytest.fixture
def start():
    """Starts further trust domains for one test: `start(name, folder=…, extra=…, only_server=…)`."""
    started = []

    def run(*arguments, only_server: bool = False, **options):
        started.append((shield.start_server if only_server else shield.start_up)(*arguments, **options))
        return started[-1]

    yield run
    for domain in started:
        domain.discard()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")


@pytest.fixture
def other_user():
    """Another uid to run a workload as; skipped when not root."""
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root")
    return 65534
