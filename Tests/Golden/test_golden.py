"""Help and output of the command line against files: what scripts and people read must not change unnoticed.

UPDATE_GOLDEN=1 writes the files anew.
"""
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

import pytest

HERE = pathlib.Path(__file__).parent
BINARY = os.environ.get("AGENTSHIELD", str(HERE.parent.parent / ".build/debug/agentshield"))
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"

COMMANDS = [
    "", "up", "server", "server run", "server validate", "server healthcheck", "agent", "agent logger", "agent logger get",
    "agent logger set", "agent logger reset", "agent debug", "agent debug getinfo", "agent validate", "agent healthcheck", "agent run", "agent list", "agent show", "agent ban", "agent evict",
    "agent count", "agent purge", "entry", "entry create", "entry show", "entry update", "entry delete", "entry count",
    "run", "token", "token generate", "bundle", "bundle show", "bundle append", "bundle list", "bundle set", "bundle delete", "bundle count",
    "federation", "federation create", "federation list", "federation show", "federation update", "federation delete",
    "federation refresh", "x509", "x509 mint", "jwt", "jwt mint", "wit", "wit mint", "revoke", "revoke list", "unrevoke", "upstreamauthority", "upstreamauthority taint", "upstreamauthority revoke", "localauthority",
    *(f"localauthority {kind}{act}" for kind in ("x509", "jwt", "wit", "oauth", "entra", "card") for act in ("", " show", " prepare", " activate", " taint", " revoke")),
    "healthcheck", "logger", "logger get", "logger set", "logger reset", "debug", "debug getinfo", "entry history",
    "bundle history", "api",
    "api fetch", "api fetch x509", "api fetch jwt", "api fetch wit", "api validate", "api validate jwt", "api watch", "svid", "svid watch", "env", "log",
    *(f"blueprint{act}" for act in ("", " create", " show", " list", " update", " enable", " disable", " delete")),
    *(f"identity{act}" for act in ("", " create", " show", " list", " update", " disable", " enable", " retire")),
    *(f"federated-credential{act}" for act in ("", " create", " list", " delete", " test")),
    *(f"client-credential{act}" for act in ("", " create", " list", " delete")),
    *(f"resource{act}" for act in ("", " create", " show", " list", " update", " delete")),
    *(f"grant{act}" for act in ("", " create", " list", " delete")),
    *(f"card{act}" for act in ("", " sign", " verify", " show", " lint")),
    *(f"approvals{act}" for act in ("", " list", " show", " approve", " deny")),
    *(f"registry{act}" for act in ("", " list", " show", " search", " register", " approve", " reject", " deprecate", " revoke",
                                   " visibility", " check", " export", " watch")),
    *(f"a2a{act}" for act in ("", " card", " send", " get", " list", " cancel", " subscribe", " scripted-agent")),
    "log list", "log show", "log verify", "log prove", "log checkpoint", "validate", "demo",
]  # fmt: skip


def run(*arguments, code=0):
    environment = {**os.environ, "COLUMNS": "80"}
    environment.pop("AGENTSHIELD_ADMIN_SOCKET", None)
    environment.pop("SPIFFE_ENDPOINT_SOCKET", None)
    done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=30, env=environment)
    assert done.returncode == code, done.stderr
    return done


def compare(name, text):
    path = HERE / name
    if UPDATE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"no golden file {name}: run with UPDATE_GOLDEN=1 and look at the difference"
    assert text == path.read_text()


def neutral(text):
    """What differs from run to run, made the same."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME", text)
    return re.sub(r'"(created_at|expires_at)":"[1-9]\d*"', r'"\1":"SECONDS"', text)


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    compare(f"help/{command.replace(' ', '-') or 'agentshield'}.txt", run(*command.split(), "--help").stdout)


def test_every_command_has_a_golden_help():
    """The list above is complete: every command that help names is in it."""
    named = set()
    for command in COMMANDS:
        inside = False
        for line in run(*command.split(), "--help").stdout.splitlines():
            inside = inside or line.endswith("SUBCOMMANDS:")
            match = re.match(r"  ([a-z0-9-]+)( \(default\))?(\s|$)", line)
            if inside and match:
                named.add(f"{command} {match.group(1)}".strip())
    assert named <= set(COMMANDS)


@pytest.fixture(scope="module")
def admin():
    with tempfile.TemporaryDirectory(prefix="as-", dir="/tmp") as directory:
        ready = pathlib.Path(directory, "ready.json")
        arguments = ["server", "run", "-trustDomain", "example.org", "-dataDir", f"{directory}/data", "-serverPort", "0"]
        arguments += ["-httpsPort", "0", "-readyFile", str(ready), "-logLevel", "error"]
        server = subprocess.Popen([BINARY, *arguments])
        try:
            deadline = time.monotonic() + 30
            while not ready.exists():
                assert server.poll() is None and time.monotonic() < deadline
                time.sleep(0.02)
            yield json.loads(ready.read_text())["adminSocket"]
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=30)


def test_output_of_entries(admin):
    at = ["-socketPath", admin]
    everything = ["-spiffeID", "spiffe://example.org/web", "-parentID", "spiffe://example.org/node", "-selector", "unix:uid:1000"]
    everything += ["-selector", "unix:gid:1000", "-x509SVIDTTL", "60", "-jwtSVIDTTL", "30", "-dns", "web.example.org", "-hint", "inside"]
    everything += ["-admin", "-downstream", "-storeSVID", "-entryExpiry", "4102444800"]
    everything += ["-disableX509SVIDPrefetch", "-jwtSVIDIncludeJTI", "-entryID", "web"]
    compare("entry-create.txt", neutral(run("entry", "create", *everything, *at).stdout))
    plain = ["-spiffeID", "spiffe://example.org/plain", "-selector", "unix:uid:0"]
    compare("entry-create-any-node.txt", neutral(run("entry", "create", *plain, *at).stdout))
    compare("entry-show.txt", neutral(run("entry", "show", *at).stdout))
    compare("entry-show.json", neutral(run("entry", "show", "-output", "json", *at).stdout))
    compare("entry-count.txt", run("entry", "count", *at).stdout)
    again = run("entry", "create", *everything[:-2], *at, code=1)
    compare("entry-create-again.err", again.stderr)
    compare("entry-delete.txt", run("entry", "delete", "-entryID", "web", *at).stdout)


def test_output_of_the_rest(admin):
    at = ["-socketPath", admin]
    compare("token-generate.txt", neutral(run("token", "generate", *at).stdout))
    compare("agent-list.txt", run("agent", "list", *at).stdout)
    compare("agent-count.json", run("agent", "count", "-output", "json", *at).stdout)
    compare("bundle-count.txt", run("bundle", "count", *at).stdout)
    web = ["-trustDomain", "b.example", "-bundleEndpointURL", "https://b.example/bundle", "-bundleEndpointProfile", "https_web"]
    compare("federation-create.txt", run("federation", "create", *web, *at).stdout)
    spiffe = ["-trustDomain", "c.example", "-bundleEndpointURL", "https://c.example:8443/", "-bundleEndpointProfile", "https_spiffe"]
    run("federation", "create", *spiffe, "-endpointSpiffeID", "spiffe://c.example/spire/server", *at)
    compare("federation-list.txt", run("federation", "list", *at).stdout)
    compare("federation-list.json", run("federation", "list", "-output", "json", *at).stdout)
    compare("federation-show.txt", run("federation", "show", "-trustDomain", "c.example", *at).stdout)
    compare("federation-delete.txt", run("federation", "delete", "-id", "b.example", *at).stdout)
    compare("federation-refresh.err", run("federation", "refresh", "-id", "b.example", *at, code=1).stderr)
    compare("healthcheck.txt", run("healthcheck", *at).stdout)
    assert re.fullmatch(r"Verified \d+ entries: every record, every tile and the signed checkpoint agree\.\n", run("log", "verify", *at).stdout)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("no-spiffe-id", ["entry", "create", "-selector", "unix:uid:0"]),
        ("no-selector", ["entry", "create", "-spiffeID", "spiffe://example.org/a"]),
        ("bad-id", ["entry", "create", "-spiffeID", "http://example.org/a", "-selector", "unix:uid:0"]),
        ("bad-selector", ["entry", "create", "-spiffeID", "spiffe://example.org/a", "-selector", "unix"]),
        ("both-ttls", ["entry", "create", "-spiffeID", "spiffe://example.org/a", "-selector", "a:b", "-ttl", "1", "-x509SVIDTTL", "2"]),
        ("no-profile", ["federation", "create", "-trustDomain", "a", "-bundleEndpointURL", "https://a/"]),
        ("no-bundle-id", ["bundle", "delete"]),
        ("unknown-flag", ["entry", "show", "-nonsense"]),
        ("unknown-command", ["nonsense"]),
        ("no-socket", ["entry", "show", "-socketPath", "/nowhere/admin.sock"]),
        ("hyphen-authority", ["localauthority", "jwt", "taint", "-authorityID", "-x5t", "-socketPath", "/nowhere/admin.sock"]),
        ("hyphen-jti", ["revoke", "-jti", "-x5t", "-socketPath", "/nowhere/admin.sock"]),
        ("hyphen-key", ["unrevoke", "-key", "-x5t", "-socketPath", "/nowhere/admin.sock"]),
        ("no-workload-api", ["api", "fetch", "x509"]),
        ("no-trust-domain", ["server", "run", "-dataDir", "/tmp/never-made"]),
        ("bad-port", ["server", "run", "-trustDomain", "a", "-serverPort", "70000"]),
        ("bad-duration", ["server", "run", "-trustDomain", "a", "-caTTL", "soon"]),
        ("no-log", ["log", "verify", "-dataDir", "/tmp/never-made"]),
    ],
)
def test_errors_are_one_line(name, arguments):
    done = run(*arguments, code=1)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    compare(f"errors/{name}.err", done.stderr)
