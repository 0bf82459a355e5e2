"""Start and stop as a service manager sees them: ready file, SIGTERM, exit codes."""

import json
import os
import signal
import stat
import threading
import time

import grpc
import pytest

from harness.domain import default_binary, run_cli
from harness.polling import eventually
from harness.ports import free_port
from harness.process import Process
from stage.deployment import Deployment, log_events, uid_selector
from wire.admin import Admin
from wire.workload import first


def test_the_ready_file_means_that_everything_serves(tmp_path, one_process):
    """Everything that it names answers at once, and it is gone after the end"""
    domain = one_process("ready.test")
    ready = domain.folder / "ready.json"
    said = json.loads(ready.read_text())
    assert list(said) == ["nodeAPI", "https", "adminSocket", "workloadAPISocket", "trustBundle"]
    domain.entry("/ready", [uid_selector()])
    domain.wait_for_ids("/ready")
    with domain.spire_agent() as agent:
        assert agent.get_bundle().x509_authorities
    assert domain.end() == 0
    assert not ready.exists()
    assert not os.path.exists(said["workloadAPISocket"]) and not os.path.exists(said["adminSocket"])


def test_the_ready_file_appears_only_when_it_serves(tmp_path):
    """Polled from the start: the first moment that the file is there, both sockets answer"""
    domain = Deployment("early.test")
    ready = domain.folder / "ready.json"
    ready.write_text('{"stale": true}')
    process = Process(
        "up",
        [
            default_binary(), "up", "-dataDir", domain.data, "-trustDomain", domain.name, "-serverPort", "0",
            "-httpsPort", "0", "-socketPath", domain.folder / "w.sock", "-readyFile", ready,
        ],
        domain.folder,
    )  # fmt: skip
    domain.processes.append(process)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                said = json.loads(ready.read_text())
                if "stale" not in said:
                    break
            except FileNotFoundError:
                pass
            assert time.monotonic() < deadline and process.popen.poll() is None, process.log()
        domain.learn(said)
        assert domain.ids() == [], "the Workload API answers: no identity yet"
        assert domain.cli("healthcheck").returncode == 0
    finally:
        domain.discard()


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_server_and_agent_end_with_0(deployment, sign):
    domain = deployment("end.test")
    files = [domain.folder / name for name in ("server.json", "agent.json")]
    assert all(file.exists() for file in files)
    assert domain.end(domain.agent, sign) == 0
    assert domain.end(domain.server, sign) == 0
    assert not any(file.exists() for file in files)


def test_open_streams_and_connections_do_not_hold_up_the_end(one_process):
    domain = one_process("drain.test")
    domain.entry("/drain", [uid_selector()])
    domain.wait_for_ids("/drain")
    with domain.workload() as api, domain.spire_agent() as agent:
        agent.attest(domain.admin.join_token().encode())
        agent.sync()
        streams = [api.x509_svids(timeout=60), api.jwt_bundles(timeout=60)]
        for stream in streams:
            next(stream)
        assert domain.end() == 0
        for stream in streams:
            with pytest.raises(grpc.RpcError) as ended:
                next(stream)
            assert ended.value.code() == grpc.StatusCode.UNAVAILABLE


def test_what_was_begun_is_finished_while_it_drains(one_process):
    """A caller under way when SIGTERM comes gets an answer or a clean refusal, never half of one"""
    domain = one_process("finish.test")
    codes, answers = [], []

    def create(number: int) -> None:
        admin = Admin(domain.admin_socket)
        try:
            answers.append(admin.join_token())
        except grpc.RpcError as error:
            codes.append(error.code())
        finally:
            admin.close()

    threads = [threading.Thread(target=create, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    data = domain.data
    assert domain.end() == 0
    for thread in threads:
        thread.join(30)
    assert set(codes) <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    tokens = [item for item in log_events(domain, data) if item["event"]["type"] == "token.create"]
    assert len([t for t in tokens if t["event"]["phase"] == "outcome"]) >= len(answers)
    assert run_cli("log", "verify", "-dataDir", data).returncode == 0


def test_a_second_signal_while_it_drains_does_no_harm(one_process):
    """It ends the process at once; the log and the entries are whole"""
    domain = one_process("twice.test")
    made = domain.entry("/twice", [uid_selector()])
    (process,) = domain.processes
    process.popen.send_signal(signal.SIGTERM)
    process.popen.send_signal(signal.SIGTERM)
    assert domain.end() in (0, 1)
    assert run_cli("log", "verify", "-dataDir", domain.data).returncode == 0
    domain.start()
    assert [one.id for one in domain.admin.list_entries()] == [made.id]


def test_it_starts_again_on_the_same_sockets_after_a_kill(one_process):
    """The sockets of a killed process lie about; the next one takes their place"""
    domain = one_process("leftover.test")
    domain.entry("/leftover", [uid_selector()])
    domain.wait_for_ids("/leftover")
    assert domain.end(signal.SIGKILL) == -signal.SIGKILL
    assert stat.S_ISSOCK(os.stat(domain.workload_socket).st_mode)
    assert (domain.folder / "ready.json").exists(), "a killed process cannot take it away"
    domain.start()
    domain.wait_for_ids("/leftover")
    with domain.workload() as api:
        assert first(api.x509_svids()).svids


def test_start_and_stop_are_in_the_log(deployment):
    domain = deployment("life.test")
    assert domain.end(domain.agent) == 0
    assert domain.end(domain.server) == 0
    types = [item["event"]["type"] for item in log_events(domain, domain.data)]
    assert types.count("server.start") == types.count("server.stop") == 1
    assert types.count("agent.start") == 1
    assert types[-1] == "server.stop"


@pytest.mark.parametrize("listener", ["nodeAPI", "https"])
def test_a_taken_port_is_an_error_in_one_line(one_process, tmp_path, listener):
    domain = one_process("taken.test")
    port = domain.ready[listener].rpartition(":")[2]
    ports = {"nodeAPI": free_port(), "https": free_port()} | {listener: port}
    result = run_cli(
        "server", "run", "-dataDir", tmp_path / "d", "-trustDomain", "taken.test", "-serverPort", ports["nodeAPI"],
        "-httpsPort", ports["https"], "-readyFile", tmp_path / "ready", check=False, timeout=10,
    )  # fmt: skip
    assert result.returncode == 1
    assert "in use" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "ready").exists()
