"""Requests that prove themselves (WIMSE): the SDK against a second implementation in Python, as caller and as receiver.

The TLS connection is mutual here too, as between a gateway and an agent; who the request is from, it says itself."""

import contextlib
import http.client
import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness import signatures
from harness.domain import default_binary, start_up
from harness.polling import eventually
from harness.process import Process
from harness.signatures import Message, Refused
from wire import messages as m
from wire.keys import der_to_pem
from wire.workload import HEADER, first

DEMO = default_binary().parent / "demo-agent"
pytestmark = pytest.mark.skipif(not DEMO.exists(), reason="needs `swift build --product demo-agent`")
LEDGER = "https://ledger.test"


class Python:
    """This process as a workload: its X509-SVID for TLS, its WIT-SVID with the key, and the keys of others."""

    def __init__(self, domain):
        self.domain = domain
        with domain.workload() as api:
            svid = first(api.x509_svids()).svids[0]
            wits = api._stream("FetchWITSVID", m.workload.WITSVIDResponse, HEADER, 20)
            wit = first(wits).svids[0]
            bundles = first(api._stream("FetchWITBundles", m.workload.WITBundlesResponse, HEADER, 20)).bundles
        self.id, self.wit = wit.spiffe_id, wit.wit_svid
        assert svid.spiffe_id == self.id
        self.key = signatures.private_key(wit.wit_svid_key)
        self.keys = {key["kid"]: key for key in json.loads(bundles[domain.id])["keys"]}
        self.chain, self.bundle = domain.folder / "python.pem", domain.folder / "bundle.pem"
        self.chain.write_bytes(
            der_to_pem([svid.x509_svid])
            + ssl.DER_cert_to_PEM_cert(svid.x509_svid_key).replace("CERTIFICATE", "PRIVATE KEY").encode()
        )
        self.bundle.write_bytes(der_to_pem([svid.bundle]))

    def context(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.bundle)
        context.load_cert_chain(self.chain)
        return context

    def request(self, method: str = "POST", target: str = "/proved/transfer?to=1", body: bytes = b'{"amount":100}', **headers):
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        message = Message(method, target, headers=[("Workload-Identity-Token", self.wit), *named], body=body)
        if body:
            message.set("Content-Type", "application/json")
        return message

    def send(self, port: int, message: Message) -> Message:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=20, context=self.context(ssl.PROTOCOL_TLS_CLIENT)
        )
        with contextlib.closing(connection):
            connection.putrequest(message.method, message.target)
            for name, value in message.headers:
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(message.body)))
            connection.endheaders(message.body)
            answer = connection.getresponse()
            return Message(status=answer.status, headers=answer.getheaders(), body=answer.read())


@pytest.fixture(scope="module")
def domain():
    domain = start_up("wimse.test", extra=["-discoverWorkloadPath"])
    try:
        for path, program in [("/python", Path(sys.executable).resolve()), ("/swift", DEMO.resolve())]:
            domain.entry(path, [f"unix:path:{program}"])
        domain.wait_for_ids("/python")
        yield domain
    finally:
        domain.discard()


@pytest.fixture(scope="module")
def python(domain):
    return Python(domain)


def demo(domain, *arguments: object) -> list:
    return ["env", f"SPIFFE_ENDPOINT_SOCKET={domain.endpoint}", DEMO, *arguments]


@pytest.fixture(scope="module")
def port(domain):
    """Where the agent in Swift serves."""
    port_file = domain.folder / "port"
    domain.processes.append(
        Process(
            "swift",
            demo(
                domain, "serve", "--listen", "127.0.0.1:0", "--port-file", port_file, "--allow", f"{domain.id}/python",
                "--proof-audience", LEDGER, "--proof-tokens",
            ),
            domain.folder,
        )
    )  # fmt: skip
    return int(eventually(lambda: port_file.exists() and port_file.read_text().strip(), "the server listens", within=40))


def test_the_sdk_takes_requests_that_python_has_signed_and_python_its_signed_answers(python, port):
    request = python.request(Authorization="Bearer of something")
    signatures.sign(request, python.key, nonce="n-1", wimse_aud=LEDGER + "/proved/transfer", wimse_sign_response=True)
    answer = python.send(port, request)
    assert answer.status == 200, answer
    assert json.loads(answer.body) == {"caller": python.id, "signed": True, "bytes": len(request.body)}
    signer, key = signatures.identity(answer, python.keys)
    assert signer == f"{python.domain.id}/swift"
    assert signatures.verify(answer, key, request)["wimse-req-nonce"] == "n-1"
    with pytest.raises(Refused):
        signatures.verify(answer, key, python.request(target="/proved/other"))
    assert python.send(port, request).status == 400, "a proof counts once"

    plain = python.request("GET", "/proved/a%2Fb", b"")
    signatures.sign(plain, python.key, wimse_aud=LEDGER)
    answer = python.send(port, plain)
    assert (answer.status, answer.values("Signature")) == (200, [])


def test_the_sdk_refuses_what_is_changed_after_python_has_signed_it(python, port):
    def status(change) -> int:
        request = python.request(Authorization="Bearer of something")
        signatures.sign(request, python.key, wimse_aud=LEDGER)
        change(request)
        return python.send(port, request).status

    def without(name):
        return lambda r: setattr(r, "headers", [(key, value) for key, value in r.headers if key != name])

    assert status(lambda r: None) == 200
    assert status(lambda r: setattr(r, "target", "/proved/transfer?to=2")) == 400
    assert status(lambda r: setattr(r, "target", "/proved/transfers?to=1")) == 400
    assert status(lambda r: setattr(r, "body", b'{"amount":900}')) == 400
    assert status(lambda r: r.set("Authorization", "Bearer of something else")) == 400
    assert status(without("Authorization")) == 400
    assert status(without("Signature")) == 400
    assert status(without("Workload-Identity-Token")) == 400
    assert status(lambda r: r.headers.append(("Txn-Token", "added"))) == 400
    other = python.request()
    signatures.sign(other, python.key, wimse_aud="https://other.test")
    assert python.send(port, other).status == 400
    for name, value in [("alg", "ecdsa-p256-sha256"), ("keyid", "k")]:
        request = python.request()
        signatures.sign(request, python.key, wimse_aud=LEDGER, **{name: value})
        assert python.send(port, request).status == 400, name


def test_the_sdk_takes_proof_tokens_of_python_once(python, port):
    def answer(**claims) -> Message:
        request = python.request("GET", "/proved/balance", b"")
        proof = signatures.proof_token(python.wit, python.key, claims.pop("aud", LEDGER), **claims)
        request.set("Authorization", f"WPT {proof}")
        return python.send(port, request)

    good = answer(jti="once")
    assert json.loads(good.body) == {"caller": python.id, "signed": False, "bytes": 0}
    for claims in ({"jti": "once"}, {"aud": "https://other.test"}, {"wth": "x"}, {"tth": "x"}, {"oth": {"x": "y"}}, {"exp": 1}):
        refused = answer(**claims)
        assert (refused.status, refused.values("WWW-Authenticate")) == (401, ["WPT"]), claims
    assert python.send(port, python.request()).status == 401, "an identity token alone is no proof"


class Receiver(http.server.ThreadingHTTPServer):
    """Somebody else's agent: judges requests, and signs answers when asked. `change` is what a gateway does to an answer."""

    daemon_threads = True

    def __init__(self, python: Python):
        super().__init__(("127.0.0.1", 0), Answer)
        self.python, self.seen, self.change = python, [], lambda answer: None
        self.socket = python.context(ssl.PROTOCOL_TLS_SERVER).wrap_socket(self.socket, server_side=True)


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server: Receiver = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Message(self.command, self.path, headers=list(self.headers.items()), body=body)
        answer = Message(status=200, headers=[("Content-Type", "application/json")])
        try:
            who, key = signatures.identity(request, server.python.keys)
            parameters = signatures.verify(request, key)
            server.seen.append((who, parameters["wimse-aud"], body))
            answer.body = b'{"done":true}'
            if parameters.get("wimse-sign-response"):
                answer.set("Workload-Identity-Token", server.python.wit)
                signatures.sign(answer, server.python.key, request, wimse_req_nonce=parameters["nonce"])
        except Refused as error:
            answer.status, answer.body = 400, json.dumps({"refused": str(error)}).encode()
        server.change(answer)
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver(python):
    receiver = Receiver(python)
    thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.shutdown()
        thread.join(20)
        receiver.server_close()


def prove(receiver: Receiver, *more: object, target: str = "/jobs?x=%20y") -> subprocess.CompletedProcess:
    python = receiver.python
    url = f"https://127.0.0.1:{receiver.server_address[1]}{target}"
    command = demo(python.domain, "prove", "--url", url, "--server", python.id, *more)
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, env=os.environ)


def test_python_takes_requests_that_the_sdk_has_signed_and_the_sdk_its_signed_answers(receiver, python):
    done = prove(receiver, "--json", '{"amount":100}', "--signer", python.id)
    assert done.returncode == 0, done
    assert done.stdout.splitlines()[-1] == f'status 200  signed by {python.id}  {{"done":true}}'
    plain = prove(receiver, "--audience", "ledger", target="/jobs")
    assert plain.stdout.splitlines()[-1] == 'status 200  not signed  {"done":true}'
    origin = f"https://127.0.0.1:{receiver.server_address[1]}"
    swift = f"{python.domain.id}/swift"
    assert receiver.seen == [(swift, f"{origin}/jobs", b'{"amount":100}'), (swift, "ledger", b"")]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda a: setattr(a, "body", b'{"done":false}'), "the body is not the one of `Content-Digest`"),
        (lambda a: setattr(a, "status", 201), "the signature does not verify"),
        (lambda a: a.set("Content-Type", "text/plain"), "the signature does not verify"),
        (lambda a: a.set("Signature-Input", a.only("Signature-Input").replace("wimse-req-nonce=\"", "wimse-req-nonce=\"x")),
         "the response answers another request"),
        (lambda a: setattr(a, "headers", [h for h in a.headers if not h[0].startswith("Signature")]), "is not signed"),
    ],
)  # fmt: skip
def test_the_sdk_refuses_an_answer_that_is_changed_after_python_has_signed_it(receiver, python, change, complaint):
    receiver.change = change
    done = prove(receiver, "--signer", python.id)
    assert done.returncode == 1 and complaint in done.stderr, done
