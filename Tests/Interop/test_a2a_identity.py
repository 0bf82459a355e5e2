"""A stock client and an agent of the SDK: found on the registry, over mutual TLS, with the token that the card asks for."""

import asyncio
import json
import os
import ssl
import sys
import uuid
from pathlib import Path

import httpx
import pytest
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict

from harness import signatures
from harness.domain import default_binary, start_up
from harness.polling import eventually
from harness.ports import free_port
from harness.process import Process
from harness.tokens import Tokens
from wire.keys import der_to_pem
from test_wimse import Python
from wire.workload import first

DEMO = default_binary().parent / "demo-agent"
pytestmark = pytest.mark.skipif(not DEMO.exists(), reason="needs `swift build --product demo-agent`")
SCOPE = "api://weather/Forecast.Read"
AUDIENCE = "https://weather.test"


class World:
    def __init__(self):
        self.domain = start_up(
            "a2a-identity.test", extra=["-discoverWorkloadPath", "-socketApprover", f"{os.getuid()} ann@example.org"]
        )
        for path, program in [("/python", Path(sys.executable).resolve()), ("/weather", DEMO.resolve())]:
            self.domain.entry(path, [f"unix:path:{program}"])
        self.domain.wait_for_ids("/python")
        tokens = Tokens(self.domain)
        self.tokens = tokens
        python, weather = tokens.agent("python"), tokens.agent("weather")
        self.client_id = python.client_id
        tokens.resource("api://weather", "Forecast.Read", agent=weather.client_id, binding="required")
        tokens.grant(python, "api://weather", "Forecast.Read")
        self.port = free_port()
        self.domain.processes.append(
            Process(
                "weather",
                ["env", f"SPIFFE_ENDPOINT_SOCKET={self.domain.endpoint}", DEMO, "serve-tasks", "--port", str(self.port),
                 "--registry", tokens.base],
                self.domain.folder,
            )
        )  # fmt: skip
        # The same agent once more, for callers behind a gateway and for those that need no token.
        self.other_port = free_port()
        self.domain.processes.append(
            Process(
                "other",
                ["env", f"SPIFFE_ENDPOINT_SOCKET={self.domain.endpoint}", DEMO, "serve-tasks", "--port", str(self.other_port),
                 "--registry", tokens.base, "--unlisted", "--allow", f"{self.domain.id}/python", "--proof-audience", AUDIENCE],
                self.domain.folder,
            )
        )  # fmt: skip
        eventually(lambda: self.listing()["versions"], "the agent has registered", within=30)
        digest = self.listing()["versions"][0]["digest"]
        self.domain.cli("registry", "approve", "-name", "weather", "-digest", digest)
        self.chain = self.domain.folder / "python.pem"
        with self.domain.workload() as api:
            svid = first(api.x509_svids()).svids[0]
        key = ssl.DER_cert_to_PEM_cert(svid.x509_svid_key).replace("CERTIFICATE", "PRIVATE KEY")
        self.chain.write_bytes(der_to_pem([svid.x509_svid]) + key.encode())
        bundle = self.domain.folder / "bundle.pem"
        bundle.write_bytes(der_to_pem([svid.bundle]))
        # Who answers is looked at by SPIFFE ID, not by host name.
        self.context = ssl.create_default_context(cafile=str(bundle))
        self.context.check_hostname = False
        self.context.load_cert_chain(self.chain)

    def listing(self) -> dict:
        try:
            return self.domain.cli_json("registry", "show", "-name", "weather")
        except Exception:
            return {"versions": []}

    def token(self) -> str:
        """By X.509-SVID, so that it is bound to the certificate."""
        with httpx.Client(verify=self.context) as http:
            answer = http.post(
                self.tokens.endpoint,
                data={"grant_type": "client_credentials", "client_id": f"{self.domain.id}/python", "scope": SCOPE},
            )
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]

    def call(self, body, headers=None):
        async def run():
            async with httpx.AsyncClient(verify=self.context, headers=headers or {}, timeout=20) as http:
                # The agent's address on the registry is a base address for the SDK.
                card = await A2ACardResolver(http, f"{self.tokens.base}/agents/weather").get_agent_card()
                client = ClientFactory(
                    ClientConfig(httpx_client=http, supported_protocol_bindings=["HTTP+JSON", "JSONRPC"])
                ).create(card)
                return await body(client)

        return asyncio.run(run())


@pytest.fixture(scope="module")
def world():
    world = World()
    try:
        yield world
    finally:
        world.domain.discard()


def request():
    return pb.SendMessageRequest(
        message=pb.Message(message_id=str(uuid.uuid4()), role=pb.ROLE_USER, parts=[pb.Part(text="Zurich")])
    )


async def all_events(client):
    return [event async for event in client.send_message(request())]


def test_a_task_is_done_for_a_caller_with_certificate_and_bound_token(world):
    events = world.call(all_events, {"Authorization": f"Bearer {world.token()}"})
    assert events[-1].status_update.status.state == pb.TASK_STATE_COMPLETED
    (artifact,) = [e.artifact_update.artifact for e in events if e.WhichOneof("payload") == "artifact_update"]
    assert artifact.parts[0].data.struct_value.fields["weather"].string_value == "sunny"


def test_a_certificate_alone_does_not_do(world):
    with pytest.raises(Exception) as refused:
        world.call(all_events)
    assert "403" in str(refused.value)


def test_a_bad_token_is_refused_although_the_certificate_is_good(world):
    with pytest.raises(Exception) as refused:
        world.call(all_events, {"Authorization": "Bearer x.y.z"})
    assert "401" in str(refused.value)


def test_whoever_has_no_certificate_gets_no_further_than_the_handshake(world):
    context = ssl.create_default_context(cafile=str(world.domain.folder / "bundle.pem"))
    context.check_hostname = False
    with pytest.raises(httpx.HTTPError):
        httpx.post(f"https://127.0.0.1:{world.port}/message:send", json={}, verify=context)


class TestProofs:
    """Requests that show a WIT-SVID and are signed by its key (WIMSE): whose they are does not depend on the connection."""

    @pytest.fixture
    def python(self, world):
        eventually(lambda: "serving tasks" in world.domain.processes[-1].log(), "the agent serves", within=30)
        return Python(world.domain)

    def message(self, python, **more):
        body = json.dumps({"message": MessageToDict(request().message)}).encode()
        return python.request("POST", "/message:send", body, **more)

    def test_a_signed_request_is_of_whoever_signed_it(self, world, python):
        message = self.message(python)
        signatures.sign(message, python.key, wimse_aud=AUDIENCE)
        answer = python.send(world.other_port, message)
        assert answer.status == 200, answer.body
        assert json.loads(answer.body)["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
        # Once more is a replay.
        assert python.send(world.other_port, message).status in (400, 401)

    def test_a_broken_proof_is_refused_although_the_certificate_would_do(self, world, python):
        message = self.message(python)
        signatures.sign(message, python.key, wimse_aud="https://other.test")
        assert python.send(world.other_port, message).status in (400, 401)
        assert python.send(world.other_port, self.message(python)).status in (400, 401)


def test_an_agent_that_is_disabled_is_gone_from_the_registry_and_gets_no_token(world):
    world.domain.cli("identity", "disable", "-id", "weather", "-reason", "test")
    with pytest.raises(Exception) as gone:
        world.call(all_events)
    assert "404" in str(gone.value)
    world.domain.cli("identity", "enable", "-id", "weather")
    eventually(
        lambda: httpx.get(f"{world.tokens.base}/agents/weather", verify=world.context).status_code == 200,
        "it is found again",
    )
