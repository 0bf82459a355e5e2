"""The Python examples, run as their README says: two agents, a third that may only read, a server that is refused."""

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.polling import eventually

EXAMPLES = Path(__file__).resolve().parents[2] / "Examples" / "python"


class WeatherAgent:
    """The example's server; `lines` are what it printed, parsed."""

    def __init__(self, domain, folder: str):
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", EXAMPLES / folder / "weather_agent.py",
             "--listen", "127.0.0.1:0", "--id", f"{domain.id}/weather"],
            env={**os.environ, "SPIFFE_ENDPOINT_SOCKET": domain.endpoint},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.lines: list[dict] = []
        self.errors: queue.Queue = queue.Queue()
        self.readers = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=lambda: self.errors.put(self.process.stderr.read()), daemon=True),
        ]
        for reader in self.readers:
            reader.start()
        try:
            self.address = eventually(
                lambda: self.lines and self.lines[0]["listening"], "the weather agent listens", within=30
            )
        except BaseException:
            self.close()
            print(self.errors.get(timeout=5))
            raise

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(15)


def planner(domain, folder: str, who: str, server: str, *more: str) -> tuple[int, list[dict], str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", EXAMPLES / folder / "planner_agent.py",
         "--server", server, "--id", domain.id + who, *more],
        env={**os.environ, "SPIFFE_ENDPOINT_SOCKET": domain.endpoint},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.fixture(params=["spiffe_tls", "httpx_ssl"])
def weather(request, registry):
    for path in ("/weather", "/planner", "/tourist"):
        # As the README does it: the command line, no parent, the user's own uid.
        made = registry.cli_json(
            "entry", "create", "-spiffeID", registry.id + path, "-selector", f"unix:uid:{os.geteuid()}",
            "-x509SVIDTTL", "10",
        )  # fmt: skip
        registry._made.append(made["results"][0]["entry"]["id"])
    registry.wait_for_ids("/weather", "/planner", "/tourist")
    agent = WeatherAgent(registry, request.param)
    try:
        yield request.param, agent
    finally:
        agent.close()


def test_the_spiffe_id_decides_what_the_caller_may_do(registry, weather):
    folder, agent = weather
    server = agent.address if folder == "spiffe_tls" else f"https://{agent.address}"

    code, answers, errors = planner(registry, folder, "/planner", server)
    assert code == 0, errors
    assert [a.get("stored") or a.get("sky") for a in answers] == ["Oslo", "snow"]
    assert {a["caller"] for a in answers} == {f"{registry.id}/planner"}

    code, answers, errors = planner(registry, folder, "/tourist", server)
    assert code == 0, errors
    assert [a.get("error") or a.get("sky") for a in answers] == ["not permitted", "snow"]
    if folder == "httpx_ssl":
        assert [a["status"] for a in answers] == [403, 200]


def test_a_planner_refuses_a_server_that_is_another_agent(registry, weather):
    folder, agent = weather
    server = agent.address if folder == "spiffe_tls" else f"https://{agent.address}"
    code, answers, errors = planner(registry, folder, "/planner", server, "--expect", "/other")
    assert (code, answers) == (1, []) and "refused" in errors
    assert not any("served" in line for line in agent.lines), "no byte of a task was sent"


def test_the_server_outlives_its_first_certificate(registry, weather):
    """SVIDs of 10 s: a call after the first one's end works only if the rotated one is in use"""
    import datetime

    from cryptography import x509

    from wire.workload import first

    folder, agent = weather
    server = agent.address if folder == "spiffe_tls" else f"https://{agent.address}"
    with registry.workload() as api:
        leaf = x509.load_der_x509_certificate(first(api.x509_svids()).svids[0].x509_svid)
    end = leaf.not_valid_after_utc
    eventually(lambda: datetime.datetime.now(datetime.timezone.utc) > end, "the first certificate's end", within=15)
    code, answers, errors = planner(registry, folder, "/planner", server)
    assert code == 0, errors
    assert answers[1]["sky"] == "snow"
