"""Many node agents in one process (Benchmarks/AgentSwarm): what many nodes do to one control plane."""

import json
import os
from pathlib import Path
from typing import Optional

from harness.domain import TrustDomain, default_binary
from harness.polling import eventually
from harness.process import Process
from wire.workload import Workload


def default_swarm() -> Path:
    return Path(os.environ.get("AGENTSHIELD_SWARM") or default_binary().parent / "AgentSwarm").absolute()


class Swarm:
    """`count` agents of the trust domain, each with a join token of its own; `server` may be a line to the node API."""

    def __init__(self, domain: TrustDomain, count: int, server: Optional[str] = None, at_once: int = 16):
        self.domain, self.count = domain, count
        self.tokens = [domain.admin.join_token() for _ in range(count)]
        self.folder = domain.folder / "s"
        self.folder.mkdir()
        bundle, tokens = domain.folder / "swarm.pem", domain.folder / "swarm.tokens"
        bundle.write_bytes(domain.roots_pem)
        tokens.touch(mode=0o600)
        tokens.write_text("\n".join(self.tokens))
        self.process = Process(
            "swarm",
            [
                default_swarm(), "--server", server or domain.node_api, "--trust-domain", domain.name,
                "--trust-bundle", bundle, "--tokens", tokens, "--folder", self.folder, "--at-once", at_once,
            ],
            domain.folder,
        )  # fmt: skip
        domain.processes.append(self.process)

    def events(self, name: str) -> list[dict]:
        lines = self.process.log_path.read_text(errors="replace").splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [event for event in found if event["event"] == name]

    def wait_ready(self, within: float) -> None:
        """Returns when every agent serves; one that has ended by itself is a failure at once."""

        def all_ready() -> bool:
            assert not self.events("failed"), self.events("failed")[:3]
            assert self.process.popen.poll() is None, self.process.log()
            return len(self.events("ready")) == self.count

        eventually(all_ready, f"{self.count} agents serve", within=within, every=0.2)

    def agent_id(self, number: int) -> str:
        return f"{self.domain.id}/spire/agent/join_token/{self.tokens[number]}"

    def workload(self, number: int, **options) -> Workload:
        return Workload(str(self.folder / str(number) / "api.sock"), **options)


def established(port: int) -> int:
    """Open TCP connections to a port of this machine, as its kernel counts them on the server's side."""
    wanted = f":{port:04X}"
    count = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(wanted) and fields[3] == "01":
            count += 1
    return count


def resident_anonymous(pid: int) -> float:
    """Megabytes of memory of the process that no file backs."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"process {pid} is gone")
