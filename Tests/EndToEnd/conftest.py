"""Fixtures: real processes on loopback that are rotated, killed, cut off, starved and lied to."""

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
# Also when pytest was started for several folders at once and reads none of their pytest.ini files.
sys.path[:0] = [folder for folder in (str(HERE), str(HERE.parent / "Interop")) if folder not in sys.path]

from harness import domain as shield  # noqa: E402
from harness.process import Process  # noqa: E402
from stage.deployment import Deployment, OneProcess  # noqa: E402
from stage.rotation import RotationWatch  # noqa: E402


def pytest_configure(config):
    config.pluginmanager.import_plugin("harness.parallel")
    if not os.access(shield.default_binary(), os.X_OK):
        pytest.exit(
            f"no agentshield at {shield.default_binary()}; run `swift build --product agentshield` "
            "or name one in AGENTSHIELD",
            returncode=2,
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of every running process's log."""
    report = yield
    if report.failed:
        for process in Process.alive:
            report.sections.append((f"log of {process.name} (pid {process.pid})", process.log(40)))
    return report


def pytest_collection_modifyitems(config, items):
    """What watches a minute of rotation looks at the end, while the other tests run."""
    if not hasattr(config, "workerinput"):
        items.sort(key=lambda item: "rotation_watch" in item.fixturenames)


@pytest.fixture(scope="session", autouse=True)
def _rotation_in_the_background(request):
    if not hasattr(request.config, "workerinput") and any("rotation_watch" in item.fixturenames for item in request.session.items):
        request.getfixturevalue("rotation_watch")


@pytest.fixture(scope="session")
def rotation_watch():
    """A trust domain with a CA of 60 s and SVIDs of 10 s, sampled every 3 s from now on."""
    watch = RotationWatch()
    yield watch
    watch.stop()


@pytest.fixture
def deployment():
    """Starts `server run` with `agent run`: `deployment(name, server=[flags], agent=[flags])`."""
    started = []

    def start(name: str, **options) -> Deployment:
        started.append(Deployment(name, **options))
        return started[-1].start()

    yield start
    for one in started:
        one.discard()


@pytest.fixture
def one_process():
    """Starts `agentshield up`: `one_process(name, extra=[flags])`."""
    started = []

    def start(name: str, **options) -> OneProcess:
        started.append(OneProcess(name, **options))
        return started[-1].start()

    yield start
    for one in started:
        one.discard()
