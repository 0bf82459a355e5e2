"""gRPC over a connection that another process made: who made it is what the Workload API sees."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Optional

from harness.process import becoming
from wire.workload import Workload

SCRIPT = Path(__file__).with_name("relay.pl")
PERL = shutil.which("perl", path="/usr/bin:/bin")
"""Debian's `perl-base` is always there; the Python of these tests may lie where another user cannot read it."""


class Pump:
    """A Workload API client whose bytes go through `far`, an open socket."""

    def __init__(self, far: socket.socket, folder: Path, name: str):
        self.far = far
        self.path = folder / f"{name}.pump"
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(1)
        threading.Thread(target=self._run, daemon=True).start()
        self.api = Workload(str(self.path))

    def _run(self) -> None:
        try:
            near, _ = self._listener.accept()
        except OSError:
            return
        self._listener.close()
        self.path.unlink(missing_ok=True)  # one connection, no second try
        threading.Thread(target=self._copy, args=(near, self.far), daemon=True).start()
        self._copy(self.far, near)

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self) -> None:
        self.api.close()
        self._listener.close()
        self.far.close()


class Relay:
    """A workload of its own: another program, perhaps of another user."""

    count = 0

    def __init__(
        self, endpoint: str, folder: Path, program: Optional[Path] = None, user: Optional[int] = None,
        successor: Optional[Path] = None,
    ):  # fmt: skip
        Relay.count += 1
        script = folder / "relay.pl"
        if not script.exists():
            shutil.copyfile(SCRIPT, script)
        script.chmod(0o644)
        near, far = socket.socketpair()
        become = [] if user is None else becoming(user)
        self.popen = subprocess.Popen(
            [*become, program or PERL, script, endpoint, *([successor] if successor else [])],
            stdin=far, stdout=subprocess.PIPE, cwd="/",
        )  # fmt: skip
        far.close()
        self.expect("ready")
        self.pump = Pump(near, folder, f"relay{Relay.count}")
        self.api = self.pump.api

    @property
    def pid(self) -> int:
        return self.popen.pid

    def expect(self, word: str) -> None:
        assert self.popen.stdout.readline().decode().strip() == word, "the workload did not get that far"

    def become_successor(self) -> None:
        os.kill(self.pid, signal.SIGUSR1)
        self.expect("ready")

    def drop_privileges(self) -> None:
        os.kill(self.pid, signal.SIGUSR2)
        self.expect("dropped")

    def close(self) -> None:
        self.pump.close()
        self.popen.kill()
        self.popen.wait(10)
        self.popen.stdout.close()


def passed_connection(endpoint: str) -> tuple[int, socket.socket]:
    """A connection made by a process that has ended, and that process's ID."""
    near, far = socket.socketpair()
    code = (
        "import socket,sys\n"
        "s=socket.socket(socket.AF_UNIX);s.connect(sys.argv[1])\n"
        "c=socket.socket(fileno=0)\n"
        "socket.send_fds(c,[b'x'],[s.fileno()])\n"
        "c.recv(1)\n"
    )
    maker = subprocess.Popen([sys.executable, "-c", code, endpoint], stdin=far)
    far.close()
    near.settimeout(20)
    _, (descriptor,), _, _ = socket.recv_fds(near, 1, 1)
    near.sendall(b"x")
    assert maker.wait(20) == 0
    near.close()
    return maker.pid, socket.socket(fileno=descriptor)
