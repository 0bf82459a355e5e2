"""Our A2A server as stock clients and curl see it, on all three bindings: the scripted agent with its example script."""

import asyncio
import contextlib
import http.server
import json
import threading
import uuid

import grpc
import httpx
import pytest
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import (
    ContentTypeNotSupportedError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from google.protobuf.json_format import MessageToDict

from harness.polling import eventually
from harness.scripted import EXAMPLE, ScriptedAgent

BINDINGS = ["JSONRPC", "HTTP+JSON", "GRPC"]


@pytest.fixture(scope="module")
def agent():
    with ScriptedAgent() as agent:
        yield agent


@pytest.fixture(scope="module")
def pushing():
    script = EXAMPLE.read_text().replace("{streaming: true,", "{streaming: true, pushNotifications: true,")
    with ScriptedAgent(script, ["-allow-loopback-webhooks"]) as agent:
        yield agent


@contextlib.contextmanager
def receiver():
    """A receiver of notifications: its URL, and what has come as headers and body."""
    received = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            received.append((self.headers, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", received
        server.shutdown()


def identifier(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4()}"


def request(prefix: str, text: str = "hello", **more) -> pb.SendMessageRequest:
    message = pb.Message(message_id=identifier(prefix), role=pb.ROLE_USER, parts=[pb.Part(text=text)], **more)
    return pb.SendMessageRequest(message=message)


def with_client(agent, binding, body, streaming=True):
    """Runs `body` with a stock client that found the agent by its card."""

    async def run():
        async with httpx.AsyncClient(timeout=20) as http:
            card = await A2ACardResolver(http, agent.url).get_agent_card()
            config = ClientConfig(
                streaming=streaming, httpx_client=http, supported_protocol_bindings=[binding],
                grpc_channel_factory=lambda url: grpc.aio.insecure_channel(url.split("//")[-1]),
            )  # fmt: skip
            client = ClientFactory(config).create(card)
            return await body(client)

    return asyncio.run(run())


async def events_of(stream) -> list:
    return [event async for event in stream]


async def task_of(client, sent: pb.SendMessageRequest) -> pb.Task:
    """The task that a message without a stream leads to."""
    (event,) = await events_of(client.send_message(sent))
    return event.task


@pytest.mark.parametrize("binding", BINDINGS)
class TestStockClient:
    def test_a_message_leads_to_a_task_with_its_artifacts_and_history(self, agent, binding):
        sent = request("task")
        task = with_client(agent, binding, lambda client: task_of(client, sent), streaming=False)
        assert task.status.state == pb.TASK_STATE_COMPLETED
        assert task.status.message.parts[0].text == "done"
        assert [artifact.artifact_id for artifact in task.artifacts] == ["report"]
        assert [message.parts[0].text for message in task.history] == ["hello", "on it"]
        assert task.context_id and task.status.timestamp.seconds > 1_700_000_000

    def test_a_message_may_be_answered_without_a_task(self, agent, binding):
        async def body(client):
            return await events_of(client.send_message(request("reply")))

        (event,) = with_client(agent, binding, body, streaming=False)
        assert event.WhichOneof("payload") == "message"
        assert event.message.parts[0].text == "hello" and event.message.role == pb.ROLE_AGENT

    def test_a_stream_begins_with_the_task_and_ends_with_its_end(self, agent, binding):
        async def body(client):
            return await events_of(client.send_message(request("stream")))

        events = with_client(agent, binding, body)
        assert events[0].WhichOneof("payload") == "task"
        chunks = [event.artifact_update for event in events if event.WhichOneof("payload") == "artifact_update"]
        assert "".join(chunk.artifact.parts[0].text for chunk in chunks) == "one two three"
        assert [chunk.append for chunk in chunks] == [False, True, True]
        assert [chunk.last_chunk for chunk in chunks] == [False, False, True]
        assert events[-1].status_update.status.state == pb.TASK_STATE_COMPLETED

    def test_every_kind_of_part_arrives_as_it_was_sent(self, agent, binding):
        task = with_client(agent, binding, lambda client: task_of(client, request("kinds")), streaming=False)
        text, raw, url, data = task.artifacts[0].parts
        assert text.text == "a text"
        assert (raw.raw, raw.filename, raw.media_type) == (b"hello", "hello.bin", "application/octet-stream")
        assert (url.url, url.media_type) == ("https://files.example/report.pdf", "application/pdf")
        assert MessageToDict(data.data) == {"score": 0.9, "labels": ["a", "b"], "nothing": None}

    def test_a_task_waits_for_input_and_goes_on(self, agent, binding):
        async def body(client):
            asked = await task_of(client, request("ask"))
            more = request("answer", task_id=asked.id)
            return asked, await task_of(client, more)

        asked, ended = with_client(agent, binding, body, streaming=False)
        assert asked.status.state == pb.TASK_STATE_INPUT_REQUIRED
        assert ended.id == asked.id and ended.context_id == asked.context_id
        assert ended.status.state == pb.TASK_STATE_COMPLETED
        assert [m.parts[0].text for m in ended.history] == ["hello", "which one?", "hello"]

    def test_a_stream_ends_when_input_is_required_and_stays_open_for_an_authorization(self, agent, binding):
        async def body(client):
            ended = await events_of(client.send_message(request("ask")))
            waiting = client.send_message(request("auth"))
            seen = []
            with pytest.raises(asyncio.TimeoutError):
                async with asyncio.timeout(0.7):
                    async for event in waiting:
                        seen.append(event)
            return ended, seen

        ended, seen = with_client(agent, binding, body)
        assert ended[-1].status_update.status.state == pb.TASK_STATE_INPUT_REQUIRED
        assert seen[-1].status_update.status.state == pb.TASK_STATE_AUTH_REQUIRED

    def test_tasks_are_read_listed_and_cancelled(self, agent, binding):
        async def body(client):
            sent = request("slow", context_id=(context := identifier("context")))
            sent.configuration.return_immediately = True
            task = await task_of(client, sent)
            read = await client.get_task(pb.GetTaskRequest(id=task.id, history_length=0))
            page = await client.list_tasks(pb.ListTasksRequest(context_id=context, page_size=5))
            canceled = await client.cancel_task(pb.CancelTaskRequest(id=task.id))
            with pytest.raises(TaskNotCancelableError):
                await client.cancel_task(pb.CancelTaskRequest(id=task.id))
            return task, read, page, canceled

        task, read, page, canceled = with_client(agent, binding, body, streaming=False)
        assert task.status.state in (pb.TASK_STATE_SUBMITTED, pb.TASK_STATE_WORKING)
        assert read.id == task.id and not read.history
        assert [listed.id for listed in page.tasks] == [task.id] and page.total_size == 1 and page.page_size == 5
        assert canceled.status.state == pb.TASK_STATE_CANCELED

    def test_another_reader_joins_a_stream(self, agent, binding):
        async def body(client):
            stream = client.send_message(request("slow"))
            first = await anext(stream)
            other = client.subscribe(pb.SubscribeToTaskRequest(id=first.task.id))
            snapshot = await anext(other)
            await client.cancel_task(pb.CancelTaskRequest(id=first.task.id))
            return snapshot, await events_of(stream), await events_of(other)

        snapshot, events, others = with_client(agent, binding, body)
        assert snapshot.WhichOneof("payload") == "task"
        assert events[-1].status_update.status.state == pb.TASK_STATE_CANCELED
        assert others[-1] == events[-1]

    def test_errors_are_those_of_the_protocol(self, agent, binding):
        async def body(client):
            with pytest.raises(TaskNotFoundError):
                await client.get_task(pb.GetTaskRequest(id="none"))
            with pytest.raises(TaskNotFoundError):
                await task_of(client, request("task", task_id="none"))
            ended = await task_of(client, request("task"))
            with pytest.raises(UnsupportedOperationError):
                await task_of(client, request("task", task_id=ended.id))
            picture = request("task")
            picture.message.parts[0].media_type = "image/png"
            with pytest.raises(ContentTypeNotSupportedError):
                await task_of(client, picture)
            return ended

        ended = with_client(agent, binding, body, streaming=False)

        async def subscribe(client):
            with pytest.raises(UnsupportedOperationError):
                await events_of(client.subscribe(pb.SubscribeToTaskRequest(id=ended.id)))

        with_client(agent, binding, subscribe)

    @pytest.mark.parametrize("prefix, state", [("reject", pb.TASK_STATE_REJECTED), ("fail", pb.TASK_STATE_FAILED),
                                               ("crash", pb.TASK_STATE_FAILED)])  # fmt: skip
    def test_a_task_may_end_badly(self, agent, binding, prefix, state):
        task = with_client(agent, binding, lambda client: task_of(client, request(prefix)), streaming=False)
        assert task.status.state == state


class TestWire:
    """What no stock client sends."""

    def rpc(self, agent, body, headers=None, path=""):
        content = body if isinstance(body, (bytes, str)) else json.dumps(body)
        return httpx.post(
            agent.url + path, content=content, headers={"Content-Type": "application/json", "A2A-Version": "1.0", **(headers or {})}
        )

    def call(self, agent, method, params=None, **more):
        return self.rpc(agent, {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}, **more)

    @pytest.mark.parametrize("body, code", [
        (b"{", -32700), (b"[]", -32600), (b"null", -32600), (b"\xff", -32700), (b'{"id":1}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"None"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"GetTask","params":[]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{}}', -32602),
        (b"[" * 10_000, -32700),
    ])  # fmt: skip
    def test_garbage_is_refused_with_the_codes_of_json_rpc(self, agent, body, code):
        answer = self.rpc(agent, body)
        assert answer.status_code == 200 and answer.json()["error"]["code"] == code

    def test_both_forms_of_the_url_answer_and_neither_redirects(self, agent):
        for path in ("", "/"):
            assert self.call(agent, "ListTasks", path=path).json()["result"]["pageSize"] == 50

    @pytest.mark.parametrize("version, code", [("1.0", None), ("1.0.1", None), ("0.2", -32009), ("2.0", -32009)])
    def test_versions_are_negotiated(self, agent, version, code):
        answer = self.call(agent, "ListTasks", headers={"A2A-Version": version}).json()
        assert answer.get("error", {}).get("code") == code
        if code:
            (info,) = answer["error"]["data"]
            assert info["reason"] == "VERSION_NOT_SUPPORTED" and info["domain"] == "a2a-protocol.org"

    def test_wrong_members_are_named(self, agent):
        answer = self.call(agent, "SendMessage", {"message": {"role": "ROLE_USER", "parts": [{"text": 1}]}}).json()
        assert answer["error"]["data"][0]["fieldViolations"] == [
            {"field": "message.parts[0].text", "description": "must be a string"}
        ]

    def test_the_same_message_leads_to_the_same_task(self, agent):
        message = {"messageId": identifier("task"), "role": "ROLE_USER", "parts": [{"text": "x"}]}
        first, second = (self.call(agent, "SendMessage", {"message": message}).json()["result"]["task"] for _ in range(2))
        assert first == second
        other = self.call(agent, "SendMessage", {"message": {**message, "parts": [{"text": "y"}]}}).json()
        assert other["error"]["code"] == -32602

    def test_the_card_has_a_tag_and_an_alias(self, agent):
        card = httpx.get(f"{agent.url}/.well-known/agent-card.json")
        assert card.headers["Cache-Control"] == "public, max-age=300"
        again = httpx.get(f"{agent.url}/.well-known/agent.json", headers={"If-None-Match": card.headers["ETag"]})
        assert again.status_code == 304 and not again.content
        assert httpx.head(f"{agent.url}/.well-known/agent-card.json").headers["Content-Length"] == str(len(card.content))
        assert httpx.post(f"{agent.url}/.well-known/agent-card.json").status_code == 405

    def test_a_body_that_is_too_large_is_refused(self, agent):
        answer = self.rpc(agent, b'{"a":"' + b"x" * (9 << 20) + b'"}')
        assert answer.status_code == 413

    def test_another_type_of_body_is_refused_in_both_bindings(self, agent):
        answer = self.rpc(agent, b"a=b", headers={"Content-Type": "text/plain"})
        assert answer.json()["error"]["code"] == -32005
        answer = httpx.post(f"{agent.url}/message:send", content=b"a=b", headers={"Content-Type": "text/plain"})
        assert answer.status_code == 400
        assert answer.json()["error"]["details"][0]["reason"] == "CONTENT_TYPE_NOT_SUPPORTED"

    def test_http_json_answers_in_its_media_type_and_with_its_errors(self, agent):
        answer = httpx.get(f"{agent.url}/tasks")
        assert answer.headers["Content-Type"] == "application/a2a+json"
        assert answer.json() | {"tasks": [], "totalSize": 0} == {
            "tasks": [], "nextPageToken": answer.json()["nextPageToken"], "pageSize": 50, "totalSize": 0
        }  # fmt: skip
        missing = httpx.get(f"{agent.url}/tasks/none")
        assert missing.status_code == 404 and missing.json()["error"]["status"] == "NOT_FOUND"
        assert httpx.delete(f"{agent.url}/tasks").status_code == 405
        assert httpx.get(f"{agent.url}/nothing/here/at/all").status_code == 404
        assert httpx.get(f"{agent.url}/tasks?pageSize=1000").status_code == 400
        # The other tenant is another place.
        assert httpx.get(f"{agent.url}/acme/tasks").json()["totalSize"] == 0

    def test_push_notifications_are_refused_by_an_agent_without_them(self, agent):
        sent = httpx.post(f"{agent.url}/tasks/x/pushNotificationConfigs", json={"url": "https://receiver.example/"})
        assert sent.json()["error"]["details"][0]["reason"] == "PUSH_NOTIFICATION_NOT_SUPPORTED"

    def test_the_extended_card_needs_somebody_who_is_known(self, agent):
        assert httpx.get(f"{agent.url}/extendedAgentCard").status_code == 401


class TestOldPeers:
    """Version 0.3, whose requests name no version."""

    def call(self, agent, method, params):
        answer = httpx.post(agent.url, json={"jsonrpc": "2.0", "id": "1", "method": method, "params": params})
        return answer.json()

    def message(self, prefix):
        return {"kind": "message", "messageId": identifier(prefix), "role": "user", "parts": [{"kind": "text", "text": "hello"}]}

    def test_the_card_has_their_members_beside_its_own(self, agent):
        card = httpx.get(f"{agent.url}/.well-known/agent.json").json()
        assert card["url"] == agent.url and card["preferredTransport"] == "JSONRPC" and card["protocolVersion"].startswith("0.3")
        assert card["supportedInterfaces"][0]["protocolVersion"] == "1.0"

    def test_a_message_is_answered_in_their_shapes(self, agent):
        task = self.call(agent, "message/send", {"message": self.message("task")})["result"]
        assert task["kind"] == "task" and task["status"]["state"] == "completed"
        assert task["artifacts"][0]["parts"][0]["kind"] == "text"
        read = self.call(agent, "tasks/get", {"id": task["id"]})["result"]
        assert read["id"] == task["id"]
        assert self.call(agent, "tasks/get", {"id": "none"})["error"]["code"] == -32001

    def test_a_stream_says_which_event_is_the_last(self, agent):
        body = {"jsonrpc": "2.0", "id": 1, "method": "message/stream", "params": {"message": self.message("stream")}}
        with httpx.stream("POST", agent.url, json=body, timeout=20) as stream:
            events = [json.loads(line.removeprefix("data: "))["result"] for line in stream.iter_lines() if line]
        assert [event["kind"] for event in events][0] == "task"
        assert [event.get("final") for event in events if event["kind"] == "status-update"][-1] is True


class TestPush:
    """Notifications to a receiver on this machine, which only tests may ask for."""

    def test_every_update_reaches_the_receiver_with_its_credentials(self, pushing):
        with receiver() as (url, received):
            sent = request("stream")
            sent.configuration.task_push_notification_config.CopyFrom(
                pb.TaskPushNotificationConfig(
                    url=url, token="word", authentication=pb.AuthenticationInfo(scheme="Bearer", credentials="secret")
                )
            )
            task = with_client(pushing, "JSONRPC", lambda client: task_of(client, sent), streaming=False)
            eventually(lambda: received and "COMPLETED" in json.dumps(received[-1][1]), "the last update has come")
        headers, first = received[0]
        assert headers["Authorization"] == "Bearer secret" and headers["X-A2A-Notification-Token"] == "word"
        assert headers["Content-Type"] == "application/a2a+json"
        assert first["task"]["id"] == task.id

    def test_secrets_are_not_read_back(self, pushing):
        async def body(client):
            asked = await task_of(client, request("ask"))
            made = await client.create_task_push_notification_config(
                pb.TaskPushNotificationConfig(
                    task_id=asked.id, url="http://127.0.0.1:9/", token="word",
                    authentication=pb.AuthenticationInfo(scheme="Bearer", credentials="secret"),
                )
            )
            read = await client.get_task_push_notification_config(
                pb.GetTaskPushNotificationConfigRequest(task_id=asked.id, id=made.id)
            )
            listed = await client.list_task_push_notification_configs(
                pb.ListTaskPushNotificationConfigsRequest(task_id=asked.id)
            )
            await client.delete_task_push_notification_config(
                pb.DeleteTaskPushNotificationConfigRequest(task_id=asked.id, id=made.id)
            )
            return made, read, listed.configs

        for binding in BINDINGS:
            made, read, listed = with_client(pushing, binding, body, streaming=False)
            assert made.id and read.id == made.id and [config.id for config in listed] == [made.id]
            assert "secret" not in str(made) + str(read) + str(listed) and not read.token

    @pytest.mark.parametrize("url", [
        "https://10.0.0.1/", "https://169.254.169.254/latest", "https://[::ffff:10.0.0.1]/", "https://user@receiver.example/",
        "ftp://127.0.0.1/", "http://192.168.1.1/", "nonsense",
    ])  # fmt: skip
    def test_addresses_inside_are_refused(self, pushing, url):
        task = httpx.post(f"{pushing.url}/message:send", json={"message": MessageToDict(request("ask").message)}).json()["task"]
        answer = httpx.post(f"{pushing.url}/tasks/{task['id']}/pushNotificationConfigs", json={"url": url})
        assert answer.status_code == 400 and answer.json()["error"]["details"][0]["fieldViolations"][0]["field"] == "url"


class TestFacade:
    """The shapes of those who know tasks and nothing of the protocol."""

    def test_a_task_is_started_and_polled(self, agent):
        started = httpx.post(
            f"{agent.url}/task",
            json={"taskId": (name := identifier("task")), "sessionId": "session-1", "action": "analyze", "parameters": {"a": 1}},
        )
        assert started.status_code in (200, 202)
        assert started.headers["Location"] == f"/status/{name}"
        assert started.json()["taskId"] == name
        while (status := httpx.get(f"{agent.url}/status/{name}").json())["status"] != "completed":
            pass
        assert status["taskId"] == name and status["progress"] == 1 and status["sessionId"] == "session-1"
        assert status["artifacts"][0]["name"] == "Report"

    def test_a_task_that_takes_its_time_is_accepted(self, agent):
        body = {"taskId": (name := identifier("slow")), "sessionId": "s", "action": "analyze"}
        started = httpx.post(f"{agent.url}/task", json=body)
        assert started.status_code == 202 and started.json()["status"] == "accepted" and started.headers["Retry-After"]
        assert httpx.post(f"{agent.url}/task", json=body).json() == started.json()
        assert httpx.get(f"{agent.url}/status/{name}").json()["status"] in ("accepted", "in_progress")

    def test_what_is_missing_is_said(self, agent):
        answer = httpx.post(f"{agent.url}/task", json={"taskId": "t"})
        assert answer.status_code == 400 and "action" in answer.json()["error"]["message"]
        assert httpx.get(f"{agent.url}/status/none").status_code == 404


@pytest.mark.parametrize("script, place", [
    ("card: {nme: x}", "card.nme"), ("card: {skills: [{id: a, nam: b}]}", "card.skills[0].nam"), ("rule: []", "rule"),
    ("rules: [{prefix: a, steps: [jump]}]", "rules[0].steps[0]"), ("rules: [{prefix: a, steps: [{wait: soon}]}]", "wait"),
])  # fmt: skip
def test_what_a_script_does_not_know_is_said_with_its_place(script, place):
    agent = ScriptedAgent(script)
    with pytest.raises(AssertionError) as ended:
        agent.start()
    assert place in str(ended.value)
    agent.stop()


def test_an_orderly_end_says_nothing_of_errors_though_a_stream_is_open():
    with ScriptedAgent() as agent:
        with httpx.stream("POST", f"{agent.url}/message:stream", json={"message": MessageToDict(request("auth").message)}) as stream:
            next(stream.iter_lines())
            assert agent.process.stop() == 0
            assert " error " not in agent.process.log()


def test_tasks_survive_a_kill_and_those_under_way_have_failed():
    agent = ScriptedAgent(keeps_tasks=True)
    with agent:
        done = httpx.post(f"{agent.url}/message:send", json={"message": MessageToDict(request("task").message)}).json()["task"]
        sent = {"message": MessageToDict(request("slow").message), "configuration": {"returnImmediately": True}}
        slow = httpx.post(f"{agent.url}/message:send", json=sent).json()["task"]
        with httpx.stream("GET", f"{agent.url}/tasks/{slow['id']}:subscribe", timeout=20) as stream:
            lines = stream.iter_lines()
            assert json.loads(next(lines).removeprefix("data: "))["task"]["id"] == slow["id"]
            agent.kill()
            with pytest.raises(httpx.HTTPError):
                list(lines)
        agent.start()
        assert httpx.get(f"{agent.url}/tasks/{done['id']}").json() == done
        ended = httpx.get(f"{agent.url}/tasks/{slow['id']}").json()
        assert ended["status"]["state"] == "TASK_STATE_FAILED"
        # The same message still leads to the same task.
        assert httpx.post(f"{agent.url}/message:send", json=sent).json()["task"]["id"] == slow["id"]
