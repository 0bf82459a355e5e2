"""The node agent's admin socket: SPIRE's `logger` and `debug` services of the agent, by raw gRPC and the commands."""

import json
import os
import stat
import subprocess
import sys
import time

import grpc
import pytest

from harness import domain as shield
from harness.domain import run_cli
from harness.polling import eventually
from wire import messages as m
from wire.workload import first

L = m.logger.LogLevel


def code_of(call) -> grpc.StatusCode:
    try:
        call()
        return grpc.StatusCode.OK
    except grpc.RpcError as error:
        return error.code()


@pytest.fixture(scope="module")
def node(server):
    """A node agent with an admin socket, beside `server`."""
    path = server.folder / "private" / "admin.sock"
    process = shield.start_agent(server, extra=["-adminSocketPath", str(path)])
    try:
        yield path
    finally:
        server.forget_entries()
        server.ready.pop("workloadAPISocket", None)
        server.processes.remove(process)
        assert process.stop() == 0


@pytest.fixture(autouse=True)
def no_entries(server):
    yield
    server.forget_entries()


@pytest.fixture
def channel(node):
    with grpc.insecure_channel(f"unix:{node}") as channel:
        yield channel


@pytest.fixture
def logger(channel):
    stub = m.agent_logger_grpc.LoggerStub(channel)
    yield stub
    stub.ResetLogLevel(m.logger.ResetLogLevelRequest(), timeout=20)


def cli(node, *arguments):
    return run_cli("agent", *arguments, "-socketPath", node)


def info(channel):
    return m.agent_debug_grpc.DebugStub(channel).GetInfo(m.agent_debug.GetInfoRequest(), timeout=20)


class TestTheSocket:
    def test_it_is_for_the_agents_user_alone(self, node):
        assert stat.S_IMODE(os.stat(node).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(node.parent).st_mode) == 0o700

    def test_another_user_cannot_open_it(self, node, other_user):
        code = (
            "import os, socket, sys\n"
            f"os.setgroups([]); os.setgid({other_user}); os.setuid({other_user})\n"
            "try: socket.socket(socket.AF_UNIX).connect(sys.argv[1])\n"
            "except PermissionError: sys.exit(7)\n"
        )
        assert subprocess.run([sys.executable, "-c", code, node], timeout=30).returncode == 7

    def test_without_the_flag_there_is_none_and_the_workload_api_has_no_such_service(self, server, node):
        with server.workload() as workload:
            get = lambda: m.agent_logger_grpc.LoggerStub(workload.channel).GetLogger(  # noqa: E731
                m.logger.GetLoggerRequest(), metadata=[("workload.spiffe.io", "true")], timeout=20
            )
            assert code_of(get) == grpc.StatusCode.UNIMPLEMENTED
            assert code_of(lambda: info(workload.channel)) == grpc.StatusCode.UNIMPLEMENTED
        sockets = [p for p in server.folder.rglob("*") if p.is_socket()]
        assert sorted(p.name for p in sockets if "admin" in p.name) == ["admin.sock"]

    def test_the_workload_api_is_not_served_on_it(self, channel):
        call = channel.unary_stream("/SpiffeWorkloadAPI/FetchX509SVID", lambda x: x, lambda x: x)
        headers = [("workload.spiffe.io", "true")]
        assert code_of(lambda: next(call(b"", metadata=headers, timeout=20))) == grpc.StatusCode.UNIMPLEMENTED

    def test_one_path_cannot_be_both_sockets(self, server, tmp_path):
        refused = run_cli(
            "agent", "run", "-trustDomain", server.name, "-dataDir", tmp_path / "d", "-insecureBootstrap",
            "-joinToken", "x", "-socketPath", tmp_path / "s", "-adminSocketPath", tmp_path / "s", check=False,
        )  # fmt: skip
        assert refused.returncode == 1 and "admin socket" in refused.stderr

    def test_a_directory_that_others_can_write_to_is_refused(self, server, tmp_path):
        (tmp_path / "open").mkdir()
        (tmp_path / "open").chmod(0o777)
        refused = run_cli(
            "agent", "run", "-trustDomain", server.name, "-dataDir", tmp_path / "d", "-insecureBootstrap",
            "-joinToken", "x", "-adminSocketPath", tmp_path / "open" / "admin.sock", check=False,
        )  # fmt: skip
        assert refused.returncode == 1 and "admin socket" in refused.stderr


class TestLogger:
    def get(self, logger):
        state = logger.GetLogger(m.logger.GetLoggerRequest(), timeout=20)
        return state.current_level, state.launch_level

    @pytest.mark.parametrize("level", [L.TRACE, L.DEBUG, L.INFO, L.WARN, L.ERROR, L.FATAL])
    def test_the_level_is_set_and_reset(self, logger, level):
        assert self.get(logger) == (L.INFO, L.INFO)
        state = logger.SetLogLevel(m.logger.SetLogLevelRequest(new_level=level), timeout=20)
        assert (state.current_level, state.launch_level) == (level, L.INFO)
        assert self.get(logger) == (level, L.INFO)
        state = logger.ResetLogLevel(m.logger.ResetLogLevelRequest(), timeout=20)
        assert (state.current_level, state.launch_level) == (L.INFO, L.INFO)

    @pytest.mark.parametrize("level", [0, 8, -1])
    def test_what_is_no_level_is_refused(self, logger, level):
        request = m.logger.SetLogLevelRequest(new_level=level)
        assert code_of(lambda: logger.SetLogLevel(request, timeout=20)) == grpc.StatusCode.INVALID_ARGUMENT
        assert self.get(logger) == (L.INFO, L.INFO)

    def test_the_commands_and_the_record(self, server, node, logger):
        assert cli(node, "logger", "get").stdout == "Logger Level : info\nLaunch Level : info\n"
        assert cli(node, "logger", "set", "-level", "error").stdout.startswith("Logger Level : error\n")
        assert json.loads(cli(node, "logger", "reset", "-output", "json").stdout) == {
            "current_level": "INFO", "launch_level": "INFO",
        }  # fmt: skip

        def told():
            listed = server.cli_json("log", "list", "-type", "agent.log_level", "-count", "100")["entries"]
            return [e["event"] for e in listed if e["event"]["resource"]["id"] == "error"][-1:]

        (event,) = eventually(told, "the control plane has the record")
        assert event["agent"]["auth_method"] == "unix_socket"
        assert event["agent"]["peer"]["uid"] == os.geteuid()

    def test_the_log_follows(self, server, node, logger):
        (process,) = [p for p in server.processes if p.name.startswith("agent")]
        logger.SetLogLevel(m.logger.SetLogLevelRequest(new_level=L.DEBUG), timeout=20)
        assert self.get(logger)[0] == L.DEBUG
        before = process.log_path.read_text()
        logger.SetLogLevel(m.logger.SetLogLevelRequest(new_level=L.FATAL), timeout=20)
        server.entry("/quiet")
        server.wait_for_ids("/quiet")
        assert process.log_path.read_text() == before


class TestDebug:
    def test_counts_uptime_and_certificates(self, server, node, channel):
        server.entry("/debug/one")
        server.entry("/debug/two")
        server.wait_for_ids("/debug/one", "/debug/two")
        before = info(channel).cached_jwt_svids_count
        with server.workload() as workload:
            workload.jwt_svid(["a"], spiffe_id=f"{server.id}/debug/one")
            first(workload.x509_svids())
        state = info(channel)
        assert (state.cached_x509_svids_count, state.svids_count) == (2, 2)
        assert state.cached_jwt_svids_count == before + 1
        assert state.cached_svidstore_x509_svids_count == 0
        assert 0 <= state.uptime < 600
        assert abs(time.time() - state.last_sync_success) < 120
        leaf, root = state.svid_chain
        assert leaf.id.path.startswith("/spire/agent/join_token/")
        assert (root.id.trust_domain, root.id.path) == (server.name, "")
        assert time.time() < leaf.expires_at <= root.expires_at
        shown = cli(node, "debug", "getinfo").stdout
        assert "X509-SVIDs              : 2\n" in shown
        assert f"{server.id}/spire/agent/join_token/" in shown
        assert json.loads(cli(node, "debug", "getinfo", "-output", "json").stdout)["cached_x509_svids_count"] == 2

    def test_without_a_socket_the_command_says_so(self, tmp_path):
        refused = run_cli("agent", "debug", "getinfo", "-socketPath", tmp_path / "nothing", check=False)
        assert refused.returncode == 1 and "no such socket" in refused.stderr


class TestInUp:
    def test_the_file_turns_it_on(self, start, tmp_path):
        folder = shield.temporary_folder()
        file = folder / "agentshield.yaml"
        file.write_text(f"agent:\n  admin_socket_path: {folder}/private/admin.sock\n")
        domain = start("in-up.test", folder, extra=["-config", str(file)])
        path = folder / "private" / "admin.sock"
        assert cli(path, "logger", "set", "-level", "debug").stdout.startswith("Logger Level : debug\n")
        assert domain.cli("logger", "get").stdout.startswith("Logger Level : debug\n"), "one process has one level"
        assert json.loads(cli(path, "debug", "getinfo", "-output", "json").stdout)["svid_chain"]


class TestHealthAndValidation:
    """The forms that SPIRE's two programs have: `server …` and `agent …`."""

    def test_healthcheck(self, server, node):
        assert server.cli("server", "healthcheck").stdout == "Serving.\n"
        for address in (server.workload_socket, server.endpoint):
            assert run_cli("agent", "healthcheck", "-socketPath", address).stdout == "Serving.\n"
        refused = run_cli("agent", "healthcheck", "-socketPath", "/nowhere/api.sock", check=False)
        assert refused.returncode == 1

    def test_validate_wants_its_section(self, tmp_path):
        file = tmp_path / "a.yaml"
        file.write_text("server:\n  trust_domain: a.test\n")
        assert "is valid: server" in run_cli("server", "validate", "-config", file).stdout
        refused = run_cli("agent", "validate", "-config", file, check=False)
        assert refused.returncode == 1 and "`agent`" in refused.stderr
        file.write_text("server:\n  trust_domain: a.test\nagent:\n  trust_domain: a.test\n  server_port: x\n")
        refused = run_cli("server", "validate", "-config", file, check=False)
        assert refused.returncode == 1 and "agent.server_port" in refused.stderr
