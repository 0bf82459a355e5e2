"""A node agent that attests by a certificate of its own, and so comes back by itself."""

import os
import signal
import time
from pathlib import Path

from harness.domain import default_binary
from harness.process import Process
from stage.deployment import Deployment, uid_selector
from wire import messages as m
from wire import x509pop as pop


class Laptop(Deployment):
    """A control plane, and a node agent with a certificate of its own instead of a join token."""

    def __init__(self, name: str, server=(), agent=()):
        super().__init__(name, server=server, agent=agent)
        root = pop.authority("laptops")
        self.leaf = pop.issue("laptop", root)
        self.certificate, self.key = self.leaf.write(self.folder, "laptop")
        (self.folder / "laptops.pem").write_bytes(root.pem)
        self.server_flags += ["-x509popCABundle", self.folder / "laptops.pem"]
        # Kept up to date by the control plane, as the operator's tools would keep it on a real laptop.
        self.bundle = self.data / "bundle.pem"

    @property
    def ready_file(self) -> Path:
        return self.folder / "agent.json"

    @property
    def node(self) -> str:
        return f"{self.id}/spire/agent/x509pop/{self.leaf.fingerprint}"

    def launch_agent(self) -> Process:
        """Starts the agent without waiting for it."""
        self.ready_file.unlink(missing_ok=True)
        self.agent = Process(
            "agent",
            [
                *self.agent_prefix, default_binary(), "agent", "run", "-dataDir", self.folder / "agent", "-trustDomain", self.name,
                "-serverAddress", "127.0.0.1", "-serverPort", self.port, "-trustBundle", self.bundle,
                "-x509popCertificate", self.certificate, "-x509popPrivateKey", self.key, "-syncInterval", "1s",
                "-socketPath", self.folder / "w.sock", "-readyFile", self.ready_file, *self.agent_flags,
            ],
            self.folder,
        )  # fmt: skip
        self.processes.append(self.agent)
        return self.agent

    def start_agent(self) -> Process:
        agent = self.launch_agent()
        self.learn({"workloadAPISocket": agent.wait_ready(self.ready_file)["workloadAPISocket"]})
        return agent

    def serial(self) -> str:
        known = self.admin.agents.ListAgents(m.agent.ListAgentsRequest(), timeout=20).agents
        return next((one.x509svid_serial_number for one in known if self.id + one.id.path == self.node), "")

    def serves(self, within: float = 30) -> None:
        """A new entry reaches the workload: the agent follows the control plane again."""
        path = f"/work-{time.monotonic_ns()}"
        made = self.entry(path, [uid_selector()], x509_svid_ttl=60)
        self.wait_for_ids(path, within=within)
        self.admin.delete(made.id)
        self.wait_for_ids(within=within)

    def asleep(self, seconds: float) -> None:
        os.kill(self.agent.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(self.agent.pid, signal.SIGCONT)
