"""A trust domain under test: `agentshield up`, or a control plane and a node agent as two processes."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Optional, Sequence

from wire.admin import Admin, entry
from wire.spire_agent import SpireAgent, roots_from_pem
from wire.workload import Workload

from harness.polling import eventually
from harness.process import Process, becoming

ANY_NODE = "/agentshield/any-node"
"""The built-in alias that every node agent of the trust domain belongs to."""


NO_LIMITS = ("-rateLimitAttestation", "0", "-rateLimitSigning", "0", "-rateLimitStatus", "0", "-rateLimitTokens", "0")
"""All nodes of a test come from one address; a later flag wins."""


def default_binary() -> Path:
    root = Path(__file__).resolve().parents[3]
    return Path(os.environ.get("AGENTSHIELD") or root / ".build" / "debug" / "agentshield").absolute()


def reachable_by(user: int) -> bool:
    """Whether another user can run the product; it may lie where only its owner can read."""
    command = [*becoming(user), default_binary(), "--version"]
    return subprocess.run(command, cwd="/", capture_output=True).returncode == 0


def temporary_folder() -> Path:
    """Short, because a Unix socket's path ends at 107 bytes, and open to other users, who call the Workload API."""
    folder = Path(tempfile.mkdtemp(prefix="as-"))
    folder.chmod(0o755)
    return folder


class CommandFailed(Exception):
    def __init__(self, result: subprocess.CompletedProcess):
        self.code, self.stdout, self.stderr = result.returncode, result.stdout, result.stderr
        super().__init__(f"exit code {self.code}: {self.stderr.strip()}")


def run_cli(*arguments: object, check: bool = True, timeout: float = 30) -> subprocess.CompletedProcess:
    """Runs an `agentshield` command to its end."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SPIFFE_", "SPIRE_", "AGENTSHIELD_"))}
    result = subprocess.run(
        [str(default_binary()), *map(str, arguments)],
        capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, env=clean,
    )  # fmt: skip
    if check and result.returncode != 0:
        raise CommandFailed(result)
    return result


class TrustDomain:
    """What a test needs to know of a running trust domain, and short ways to the things that most tests do."""

    def __init__(self, name: str, folder: Path):
        self.name = name
        self.folder = folder
        self.id = f"spiffe://{name}"
        self.processes: list[Process] = []
        self.admin: Optional[Admin] = None
        self.ready: dict = {}
        self._made: list[str] = []

    # What the ready file says

    def learn(self, ready: dict) -> None:
        self.ready.update(ready)
        if self.admin is None and "adminSocket" in self.ready:
            self.admin = Admin(self.ready["adminSocket"])

    @property
    def node_api(self) -> str:
        return self.ready["nodeAPI"].removeprefix("https://").removeprefix("tcp://")

    @property
    def https(self) -> str:
        url = self.ready["https"]
        return (url if "://" in url else f"https://{url}").rstrip("/")

    @property
    def admin_socket(self) -> str:
        return self.ready["adminSocket"].removeprefix("unix:")

    @property
    def workload_socket(self) -> str:
        return self.ready["workloadAPISocket"].removeprefix("unix:")

    @property
    def endpoint(self) -> str:
        """The value of SPIFFE_ENDPOINT_SOCKET."""
        return f"unix://{self.workload_socket}"

    @property
    def roots_pem(self) -> bytes:
        bundle = self.ready["trustBundle"]
        return bundle.encode() if bundle.startswith("-----BEGIN") else Path(bundle).read_bytes()

    @property
    def roots(self) -> list[bytes]:
        return roots_from_pem(self.roots_pem)

    # Doing things

    def workload(self, **options) -> Workload:
        return Workload(self.workload_socket, **options)

    def spire_agent(self) -> SpireAgent:
        return SpireAgent(self.node_api, self.name, self.roots)

    def cli(self, *arguments: object, check: bool = True):
        """An admin command with `-socketPath`."""
        return run_cli(*arguments, "-socketPath", self.admin_socket, check=check)

    def cli_json(self, *arguments: object) -> dict:
        return json.loads(self.cli(*arguments, "-output", "json").stdout)

    def entry(self, path: str, selectors: Optional[Sequence[str]] = None, parent: str = ANY_NODE, **fields):
        """Creates an entry for this process's user and returns it; `forget` deletes it."""
        made = self.admin.create_one(
            entry(self.id + path, self.id + parent, selectors or [f"unix:uid:{os.geteuid()}"], **fields)
        )
        self._made.append(made.id)
        return made

    def ids(self, **options) -> list[str]:
        """The SPIFFE IDs that this process gets from the Workload API right now, or none."""
        import grpc

        from wire.workload import first

        with self.workload(**options) as api:
            try:
                return [svid.spiffe_id for svid in first(api.x509_svids(timeout=5)).svids]
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.PERMISSION_DENIED:
                    raise
                return []

    def wait_for_ids(self, *paths: str, within: float = 30) -> None:
        """Returns when this process's identities are exactly these."""
        wanted = sorted(self.id + path for path in paths)
        import grpc

        def has_them() -> bool:
            try:
                return sorted(self.ids()) == wanted
            except grpc.RpcError as error:
                # An entry that comes or goes while its identity is waited for: clients are told to try again.
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
                return False

        eventually(has_them, f"the workload has exactly {wanted}", within=within)

    def forget_entries(self) -> None:
        """Deletes what `entry` made since the last time, and waits until no workload has it."""
        if not self._made:
            return
        self.admin.delete(*self._made)
        self._made.clear()
        if "workloadAPISocket" in self.ready:
            self.wait_for_ids()

    def stop(self) -> list[int]:
        """Stops every process, the last started first, and returns the exit codes."""
        if self.admin is not None:
            self.admin.close()
            self.admin = None
        codes = [process.stop() for process in reversed(self.processes)]
        self.processes.clear()
        return codes

    def discard(self) -> None:
        try:
            self.stop()
        finally:
            if os.environ.get("AGENTSHIELD_KEEP_LOGS"):
                print(f"kept {self.folder}")
            else:
                shutil.rmtree(self.folder, ignore_errors=True)


def start_up(
    name: str = "interop.test", folder: Optional[Path] = None, extra: Sequence[str] = (), user: Optional[int] = None
) -> TrustDomain:
    """`agentshield up` on free ports; with a `folder` it comes back on the same data, with a `user` it runs as that."""
    domain = TrustDomain(name, folder or temporary_folder())
    if user is not None:
        os.chown(domain.folder, user, user)
    ready = domain.folder / "ready.json"
    ready.unlink(missing_ok=True)
    domain.processes.append(
        Process(
            "up",
            [
                default_binary(), "up", "-dataDir", domain.folder / "data", "-trustDomain", name,
                "-socketPath", domain.folder / "w.sock", "-serverPort", "0", "-httpsPort", "0",
                "-readyFile", ready, *NO_LIMITS, *extra,
            ],
            domain.folder,
            user,
        )
    )  # fmt: skip
    return _learn(domain, ready)


def start_server(
    name: str = "interop.test", folder: Optional[Path] = None, extra: Sequence[str] = (), limits: Sequence[str] = NO_LIMITS
) -> TrustDomain:
    """`agentshield server run` alone: a trust domain whose node agents the test brings; without `limits` it has its defaults."""
    domain = TrustDomain(name, folder or temporary_folder())
    ready = domain.folder / "server.json"
    ready.unlink(missing_ok=True)
    domain.processes.append(
        Process(
            "server",
            [
                default_binary(), "server", "run", "-dataDir", domain.folder / "data", "-trustDomain", name,
                "-socketPath", domain.folder / "a.sock", "-serverPort", "0", "-httpsPort", "0",
                "-readyFile", ready, *limits, *extra,
            ],
            domain.folder,
        )
    )  # fmt: skip
    return _learn(domain, ready)


def start_agent(domain: TrustDomain, extra: Sequence[str] = ()) -> Process:
    """`agentshield agent run` beside a running server, joined with a fresh token."""
    number = len(domain.processes)
    ready = domain.folder / f"agent{number}.json"
    bundle = domain.folder / "bootstrap.pem"
    bundle.write_bytes(domain.roots_pem)
    host, _, port = domain.node_api.rpartition(":")
    process = Process(
        f"agent{number}",
        [
            default_binary(), "agent", "run", "-dataDir", domain.folder / f"agent{number}", "-trustDomain", domain.name,
            "-serverAddress", host, "-serverPort", port, "-trustBundle", bundle,
            "-joinToken", domain.admin.join_token(), "-socketPath", domain.folder / f"w{number}.sock",
            "-readyFile", ready, *extra,
        ],
        domain.folder,
    )  # fmt: skip
    domain.processes.append(process)
    domain.learn({k: v for k, v in process.wait_ready(ready).items() if k == "workloadAPISocket"})
    return process


def _learn(domain: TrustDomain, ready: Path) -> TrustDomain:
    try:
        domain.learn(domain.processes[-1].wait_ready(ready))
        return domain
    except BaseException:
        domain.discard()
        raise
