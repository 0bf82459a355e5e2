"""Control plane and node agent as two processes with fixed addresses, so that each can die and come back alone."""

import json
import os
import signal
from pathlib import Path
from typing import Optional, Sequence

from harness.domain import NO_LIMITS, TrustDomain, default_binary, run_cli, temporary_folder
from harness.ports import free_port
from harness.process import Process


class Deployment(TrustDomain):
    """`server run` and `agent run`. Both keep their addresses over restarts; the agent joins once."""

    def __init__(self, name: str, folder: Optional[Path] = None, server: Sequence[str] = (), agent: Sequence[str] = ()):
        super().__init__(name, folder or temporary_folder())
        self.server_flags, self.agent_flags = list(server), list(agent)
        self.port, self.https_port = free_port(), free_port()
        self.data = self.folder / "data"
        # What goes before the command lines, such as a clock of their own.
        self.server_prefix: list[str] = []
        self.agent_prefix: list[str] = []
        self.server: Optional[Process] = None
        self.agent: Optional[Process] = None
        self._token: Optional[str] = None

    def start_server(self) -> Process:
        ready = self.folder / "server.json"
        ready.unlink(missing_ok=True)
        self.server = Process(
            "server",
            [
                *self.server_prefix, default_binary(), "server", "run", "-dataDir", self.data, "-trustDomain", self.name,
                "-socketPath", self.folder / "a.sock", "-serverPort", self.port, "-httpsPort", self.https_port,
                "-readyFile", ready, *NO_LIMITS, *self.server_flags,
            ],
            self.folder,
        )  # fmt: skip
        self.processes.append(self.server)
        if self.admin is not None:
            self.admin.close()
            self.admin = None
        self.learn(self.server.wait_ready(ready))
        return self.server

    def start_agent(self) -> Process:
        """The first time with a join token; later it comes back with what it kept."""
        ready = self.folder / "agent.json"
        ready.unlink(missing_ok=True)
        bundle = self.folder / "bootstrap.pem"
        join = []
        if self._token is None:
            bundle.write_bytes(self.roots_pem)
            self._token = self.admin.join_token()
            join = ["-joinToken", self._token]
        self.agent = Process(
            "agent",
            [
                *self.agent_prefix, default_binary(), "agent", "run", "-dataDir", self.folder / "agent", "-trustDomain", self.name,
                "-serverAddress", "127.0.0.1", "-serverPort", self.port, "-trustBundle", bundle, *join,
                "-socketPath", self.folder / "w.sock", "-readyFile", ready, *self.agent_flags,
            ],
            self.folder,
        )  # fmt: skip
        self.processes.append(self.agent)
        self.learn({"workloadAPISocket": self.agent.wait_ready(ready)["workloadAPISocket"]})
        return self.agent

    def start(self) -> "Deployment":
        try:
            self.start_server()
            self.start_agent()
        except BaseException:
            self.discard()
            raise
        return self

    def end(self, process: Process, sign: int = signal.SIGTERM) -> int:
        """Ends one of the two; the other goes on."""
        self.processes.remove(process)
        return process.stop(sign)


class OneProcess(TrustDomain):
    """`agentshield up` on a folder that outlives it."""

    def __init__(self, name: str, extra: Sequence[str] = (), folder: Optional[Path] = None):
        super().__init__(name, folder or temporary_folder())
        self.extra = list(extra)
        self.data = self.folder / "data"

    def start(self) -> "OneProcess":
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        process = Process(
            "up",
            [
                default_binary(), "up", "-dataDir", self.data, "-trustDomain", self.name,
                "-socketPath", self.folder / "w.sock", "-serverPort", "0", "-httpsPort", "0", "-readyFile", ready,
                *NO_LIMITS, *self.extra,
            ],
            self.folder,
        )  # fmt: skip
        self.processes.append(process)
        if self.admin is not None:
            self.admin.close()
            self.admin = None
        try:
            self.learn(process.wait_ready(ready))
        except BaseException:
            self.discard()
            raise
        return self

    def end(self, sign: int = signal.SIGTERM) -> int:
        (process,) = self.processes
        self.processes.clear()
        if self.admin is not None:
            self.admin.close()
            self.admin = None
        return process.stop(sign)


def log_events(domain: TrustDomain, data: Optional[Path] = None) -> list[dict]:
    """Every entry of the audit log as `{"index": …, "event": …}`: of the running server, or of a stopped one's data."""
    where = ("-dataDir", data) if data else ("-socketPath", domain.admin_socket)
    events: list[dict] = []
    while True:
        page = json.loads(
            run_cli("log", "list", "-first", len(events), "-count", 5000, "-output", "json", *where).stdout
        )["entries"]
        if not page:
            return events
        events.extend(page)


def issued_serials(events: list[dict]) -> set[int]:
    """Serial numbers of every X.509-SVID whose outcome the log has."""
    return {
        int(item["event"]["effect"]["result"]["serial"], 16)
        for item in events
        if item["event"]["phase"] == "outcome" and "serial" in item["event"].get("effect", {}).get("result", {})
    }


def uid_selector() -> str:
    return f"unix:uid:{os.geteuid()}"
