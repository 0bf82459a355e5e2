"""The rest of administration: SPIRE's `logger` and `debug` services, and history from the audit log."""

import contextlib
import time

import grpc
import pytest

from harness.domain import run_cli
from harness.polling import eventually
from wire import messages as m
from wire.admin import entry
from wire.keys import csr, new_key, spiffe_id

L = m.logger.LogLevel


def code_of(call) -> grpc.StatusCode:
    try:
        call()
        return grpc.StatusCode.OK
    except grpc.RpcError as error:
        return error.code()


class TestLogger:
    @pytest.fixture
    def logger(self, server):
        stub = m.logger_grpc.LoggerStub(server.admin.channel)
        yield stub
        stub.ResetLogLevel(m.logger.ResetLogLevelRequest(), timeout=20)

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

    def test_the_log_follows_and_the_act_is_recorded(self, start):
        server = start("level.test", only_server=True)
        assert server.cli("logger", "get").stdout == "Logger Level : info\nLaunch Level : info\n"
        assert server.cli("logger", "set", "-level", "error").stdout.startswith("Logger Level : error\n")
        line = server.cli("log", "list", "-type", "server.log_level").stdout.splitlines()[-1]
        assert line.split()[-2:] == ["log-level", "error"]
        (process,) = server.processes
        before = process.log()
        with server.spire_agent() as node:
            node.attest(server.admin.join_token().encode())
        assert process.log() == before
        assert server.cli_json("logger", "reset") == {"current_level": "INFO", "launch_level": "INFO"}
        refused = server.cli("logger", "set", "-level", "loud", check=False)
        assert refused.returncode == 1 and "`loud`" in refused.stderr


class TestDebug:
    def test_counts_uptime_and_certificates(self, start):
        server = start("debug.test", only_server=True)
        with server.spire_agent() as node:
            node.attest(server.admin.join_token().encode())
            server.admin.create_one(entry(f"{server.id}/a", node.identity.id, ["unix:uid:1"]))
        info = m.debug_grpc.DebugStub(server.admin.channel).GetInfo(m.debug.GetInfoRequest(), timeout=20)
        assert (info.agents_count, info.entries_count, info.federated_bundles_count) == (1, 1, 0)
        assert 0 <= info.uptime < 60
        leaf, root = info.svid_chain
        assert (leaf.id.trust_domain, leaf.id.path) == ("debug.test", "/spire/server")
        assert (root.id.trust_domain, root.id.path) == ("debug.test", "")
        assert time.time() < leaf.expires_at <= root.expires_at
        shown = server.cli("debug", "getinfo").stdout
        assert "spiffe://debug.test/spire/server until " in shown
        assert server.cli_json("debug", "getinfo")["agents_count"] == 1


class TestHistory:
    def test_of_an_entry(self, start):
        server = start("history.test", only_server=True)
        made = server.admin.create_one(entry(f"{server.id}/a", f"{server.id}/n", ["unix:uid:1"]))
        server.admin.create_one(entry(f"{server.id}/b", f"{server.id}/n", ["unix:uid:1"]))
        server.cli(
            "entry", "update", "-entryID", made.id, "-spiffeID", f"{server.id}/a", "-parentID", f"{server.id}/n",
            "-selector", "unix:uid:2",
        )  # fmt: skip
        server.cli("entry", "delete", "-entryID", made.id)
        told = [e["event"] for e in server.cli_json("entry", "history", "-entryID", made.id)["entries"]]
        assert [e["type"] for e in told] == ["entry.create", "entry.update", "entry.delete"]
        assert all(e["effect"]["observed"] == "occurred" and e["phase"] == "outcome" for e in told)
        head, *rows = server.cli("entry", "history", "-entryID", made.id).stdout.splitlines()
        assert head.split() == ["INDEX", "TIME", "TYPE", "RESULT", "BY", "RESOURCE", "FACTS"]
        assert "spiffe_id=spiffe://history.test/a" in rows[0] and "revision=1" in rows[1] and len(rows) == 3
        assert "unix_socket uid" in rows[0]
        everything = server.cli_json("entry", "history")["entries"]
        assert len(everything) == 4
        data = server.folder / "data"
        server.stop()
        offline = run_cli("entry", "history", "-entryID", made.id, "-dataDir", data).stdout
        assert offline.splitlines() == [head, *rows]

    def test_of_bundles(self, start):
        server = start("history.test", only_server=True)
        own = {e["event"]["type"] for e in server.cli_json("bundle", "history")["entries"]}
        assert own == {"authority.prepare", "authority.activate"}
        other = server.folder / "other.pem"
        other.write_bytes(server.roots_pem)
        server.cli("bundle", "set", "-id", "other.test", "-path", other)
        server.cli("bundle", "delete", "-id", "other.test")
        told = [e["event"]["type"] for e in server.cli_json("bundle", "history", "-id", "other.test")["entries"]]
        assert told == ["bundle.set", "bundle.delete"]


class TestRateLimits:
    def test_a_batch_counts_as_its_size_and_administrators_are_free(self, start):
        server = start("rate.test", only_server=True, extra=("-rateLimitSigning", "2"))
        with server.spire_agent() as node:
            node.attest(server.admin.join_token().encode())
            made = [
                server.admin.create_one(entry(f"{server.id}/{n}", node.identity.id, ["unix:uid:1"])).id for n in range(3)
            ]
            node.sync()
            with pytest.raises(grpc.RpcError) as error:
                node.sign_raw([(id, csr(new_key())) for id in made])
            assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert error.value.details() == "rate (3) exceeds burst size (2)"
            assert all(result.status.code == 0 for result in node.sign_raw([(id, csr(new_key())) for id in made[:2]]))
            for _ in range(3):
                assert node.jwt(made[0], ["a"]).token
        request = m.svid.MintJWTSVIDRequest(id=spiffe_id(f"{server.id}/x"), audience=["a"])
        for _ in range(5):
            assert server.admin.svids.MintJWTSVID(request, timeout=20).svid.token

    def test_the_defaults_are_spires(self, start):
        """Attestation 1, signing 500, status 10 a second; what would have to wait longer than 10 s is refused"""
        server = start("rate.test", only_server=True, limits=())
        with server.spire_agent() as node:
            node.attest(server.admin.join_token().encode())
            request = csr(new_key())
            # What is asked for counts, whatever becomes of it.
            params = [m.svid.NewX509SVIDParams(entry_id="none", csr=request)] * 500
            batch = m.svid.BatchNewX509SVIDRequest(params=params)
            calls = [node.svid_api.BatchNewX509SVID.future(batch, timeout=60) for _ in range(20)]
            # One batch at once and 10 in the 10 s that a call may wait. Twice the rate would refuse none.
            assert self.refused(calls, at_least=5) <= 9

            report = m.agent.PostStatusRequest(current_bundle_serial=1)
            # A connection has a bound on its calls: four of the same node.
            with contextlib.ExitStack() as stack:
                nodes = [stack.enter_context(server.spire_agent()) for _ in range(4)]
                for one in nodes:
                    one.adopt(node.identity)
                calls = [one.agent_api.PostStatus.future(report, timeout=60) for one in nodes for _ in range(75)]
                # 10 at once and 100 in 10 s. Twice the rate would refuse 90.
                assert self.refused(calls, at_least=120) <= 190

        params = m.agent.AttestAgentRequest.Params(
            data=m.types.AttestationData(type="join_token", payload=b"none"), params=m.agent.AgentX509SVIDParams(csr=request)
        )
        with server.spire_agent() as stranger:
            calls = [
                stranger.agent_api.AttestAgent(iter([m.agent.AttestAgentRequest(params=params)]), timeout=60)
                for _ in range(40)
            ]
            # One at once and 10 in 10 s. Twice the rate would refuse 18.
            assert self.refused(calls, at_least=22) <= 30

    @staticmethod
    def refused(calls: list, at_least: int) -> int:
        """How many calls end with ResourceExhausted, once it is so many; those that wait for their turn are given up."""

        def count() -> int:
            return sum(call.done() and call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED for call in calls)

        try:
            eventually(lambda: count() >= at_least, f"{at_least} calls are refused")
            return count()
        finally:
            for call in calls:
                call.cancel()

    def test_our_agent_gets_all_its_svids_under_a_low_limit(self, start):
        domain = start("rate.test", extra=("-rateLimitSigning", "4", "-rateLimitAttestation", "1"))
        paths = [f"/{n}" for n in range(6)]
        for path in paths:
            domain.entry(path)
        domain.wait_for_ids(*paths, within=30)

    @pytest.mark.parametrize("rate", ["-1", "1000001", "many"])
    def test_what_is_no_rate_is_refused(self, tmp_path, rate):
        flags = (f"-rateLimitSigning={rate}",)
        done = run_cli("server", "run", "-trustDomain", "a.test", "-dataDir", tmp_path, *flags, check=False)
        assert done.returncode != 0
