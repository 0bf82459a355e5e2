"""Several tests at once (`-n`, pytest-xdist): what stays together, and what begins first.

Most tests wait for processes, so several take hardly longer than one. A test goes to whatever worker is free, but

* tests that share a fixture of their file run one after another in one worker: it is made once, and keeps its story;
* tests that share a trust domain of `conftest.py` stay together by class, or by file those outside of classes;
* `@pytest.mark.together(name)` is of tests that must not meet: they take the same ports or control groups;
* `@pytest.mark.long` is of a test that waits for half a minute: it begins first, and nobody waits for it at the end.
"""

import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Optional

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import NodeManager

FOLDER = pytest.StashKey[str]()


def pytest_configure(config):
    config.addinivalue_line("markers", "long: waits for half a minute; begins first where several tests run at once")
    config.addinivalue_line("markers", "together(name): never at the same time as the others of this name")


def group(item) -> Optional[str]:
    """The tests that this one stays with; None when it stays with none."""
    marker = item.get_closest_marker("together")
    if marker is not None:
        return marker.args[0]
    shared = [
        Path(definition.func.__code__.co_filename)
        for definitions in item._fixtureinfo.name2fixturedefs.values()
        for definition in definitions
        if definition.scope in ("class", "module")
    ]
    if not shared:
        return None
    return str(item.path) if item.path in shared or item.cls is None else f"{item.path}::{item.cls.__name__}"


# In a worker: only there tests are collected. The groups of the first one are everybody's.


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    if not hasattr(config, "workerinput"):
        return
    names = Counter(item.nodeid for item in items)
    if len(names) < len(items):
        # Tests are handed out by name.
        raise pytest.UsageError(f"two tests of one name: {[name for name, count in names.items() if count > 1]}")
    groups: dict[str, list] = {}
    for item in items:
        groups.setdefault(group(item) or item.nodeid, []).append(item)
    # Long ones first, then large ones: the last to begin are short.
    order = sorted(groups.values(), key=lambda some: (not any(one.get_closest_marker("long") for one in some), -len(some)))
    items[:] = [item for some in order for item in some]
    if config.workerinput["workerid"] == "gw0":
        found = {item.nodeid: name for name, some in groups.items() for item in some}
        Path(config.workerinput["groups"]).write_text(json.dumps(found))


# In the process that hands out the tests.


class Scheduling(LoadScopeScheduling):
    def __init__(self, config, log=None):
        config.option.loadscopereorder = False
        super().__init__(config, log)
        self._groups: dict[str, str] = {}

    def _split_scope(self, nodeid: str) -> str:
        # Asked for the first time when every worker has collected.
        self._groups = self._groups or json.loads(groups_file(self.config).read_text())
        return self._groups[nodeid]


def groups_file(config) -> Path:
    if FOLDER not in config.stash:
        config.stash[FOLDER] = tempfile.mkdtemp(prefix="agentshield-tests-")
    return Path(config.stash[FOLDER], "groups.json")


# Seconds that an interrupted worker has to end what it started, before it is killed and its processes live on.
NodeManager.EXIT_TIMEOUT = 60


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    node.workerinput["groups"] = str(groups_file(node.config))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return Scheduling(config, log)


def pytest_unconfigure(config):
    if FOLDER in config.stash:
        shutil.rmtree(config.stash[FOLDER], ignore_errors=True)
