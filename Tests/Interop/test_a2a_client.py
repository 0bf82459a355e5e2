"""Our client of the Agent2Agent protocol against an agent of Python's a2a-sdk, over each binding."""

import json
import os
import signal
import subprocess

import pytest

from harness import domain as shield
from harness.polling import eventually
from wire.a2a_agent import BINDINGS, running

TOKEN = "header.payload.signature"


@pytest.fixture(scope="module")
def agent():
    with running() as agent:
        yield agent


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return path


def start(agent, command: str, *words, output="json") -> subprocess.Popen:
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    arguments = [shield.default_binary(), "a2a", command, agent.url, *map(str, words), "-output", output]
    return subprocess.Popen(
        [str(word) for word in arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def call(agent, command: str, *words, output="json", code=0) -> str:
    process = start(agent, command, *words, output=output)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    return out if code == 0 else err


def events(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def texts(task: dict) -> list[str]:
    return [part["text"] for artifact in task.get("artifacts", []) for part in artifact["parts"]]


@pytest.fixture(params=BINDINGS)
def binding(request):
    return request.param


def test_the_card_is_found_and_shown_as_it_is(agent):
    card = json.loads(call(agent, "card"))
    assert card["name"] == "Stock agent"
    assert [interface["protocolBinding"] for interface in card["supportedInterfaces"]] == ["JSONRPC", "JSONRPC", "HTTP+JSON", "GRPC"]
    assert "obey: Obey" in call(agent, "card", output="pretty")


def test_a_message_is_answered_with_its_ended_task(agent, binding):
    task = json.loads(call(agent, "send", "one two", "-binding", binding))["task"]
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert texts(task) == ["one", "two"]
    again = json.loads(call(agent, "get", task["id"], "-binding", binding, "-historyLength", 0))
    assert again["id"] == task["id"] and texts(again) == ["one", "two"] and "history" not in again


def test_a_message_may_be_answered_without_a_task(agent, binding):
    answer = json.loads(call(agent, "send", "just talk", "-binding", binding))["message"]
    assert answer["role"] == "ROLE_AGENT" and answer["parts"] == [{"text": "no task needed"}]


def test_events_are_streamed_in_order_and_the_stream_ends(agent, binding):
    first, *rest = events(call(agent, "send", "a b c", "-stream", "-binding", binding))
    assert first["task"]["id"]
    updates = [event["artifactUpdate"] for event in rest if "artifactUpdate" in event]
    assert [update["artifact"]["parts"][0]["text"] for update in updates] == ["a", "b", "c"]
    assert [update.get("append", False) for update in updates] == [False, True, True]
    assert rest[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"


def test_a_task_that_waits_goes_on_with_the_next_message(agent, binding):
    task = json.loads(call(agent, "send", "ask me", "-binding", binding))["task"]
    assert task["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    assert task["status"]["message"]["parts"] == [{"text": "which one?"}]
    ended = json.loads(
        call(agent, "send", "this", "-taskID", task["id"], "-contextID", task["contextId"], "-binding", binding)
    )["task"]
    assert ended["id"] == task["id"] and ended["status"]["state"] == "TASK_STATE_COMPLETED"


def test_a_subscription_tells_of_the_cancellation(agent, binding):
    task = json.loads(call(agent, "send", "wait", "-immediately", "-binding", binding))["task"]
    subscription = start(agent, "subscribe", task["id"], "-binding", binding)
    assert json.loads(subscription.stdout.readline())["task"]["id"] == task["id"]
    canceled = json.loads(call(agent, "cancel", task["id"], "-binding", binding))
    assert canceled["status"]["state"] == "TASK_STATE_CANCELED"
    out, err = subscription.communicate(timeout=60)
    assert subscription.returncode == 0, err
    assert events(out)[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_CANCELED"


def test_tasks_are_listed_page_by_page(agent, binding):
    task = json.loads(call(agent, "send", "x", "-contextID", f"list-{binding}", "-binding", binding))["task"]
    json.loads(call(agent, "send", "y", "-contextID", f"list-{binding}", "-binding", binding))
    first = json.loads(call(agent, "list", "-contextID", f"list-{binding}", "-pageSize", 1, "-binding", binding))
    assert first["totalSize"] == 2 and len(first["tasks"]) == 1
    second = json.loads(
        call(agent, "list", "-contextID", f"list-{binding}", "-state", "completed", "-pageToken", first["nextPageToken"], "-binding", binding)
    )
    assert [one["id"] for one in second["tasks"]] == [task["id"]]
    assert second["nextPageToken"] == ""


def test_refusals_say_why(agent, binding):
    assert "TASK_NOT_FOUND" in call(agent, "get", "nothing", "-binding", binding, code=1)
    task = json.loads(call(agent, "send", "fail", "-binding", binding))["task"]
    assert task["status"]["state"] == "TASK_STATE_FAILED"
    assert "TASK_NOT_CANCELABLE" in call(agent, "cancel", task["id"], "-binding", binding, code=1)
    assert "UNSUPPORTED_OPERATION" in call(agent, "send", "more", "-taskID", task["id"], "-binding", binding, code=1)


def test_version_extensions_and_token_go_with_calls_and_no_token_with_the_card(agent, binding, token_file):
    agent.requests.clear()
    agent.metadata.clear()
    call(agent, "list", "-binding", binding, "-tokenFile", token_file, "-extension", "https://e.example/v1", "-extension", "urn:x")
    (_, _, card), *calls = agent.requests
    assert "authorization" not in card
    (sent,) = [headers for _, headers in agent.metadata] if binding == "GRPC" else [headers for _, _, headers in calls]
    assert sent["a2a-version"] == "1.0"
    assert sent["a2a-extensions"] == "https://e.example/v1,urn:x"
    assert sent["authorization"] == f"Bearer {TOKEN}"


def test_people_read_what_became_of_a_task(agent):
    text = call(agent, "send", "one", output="pretty")
    assert "completed" in text and "words (Words)" in text
    assert "Found" in call(agent, "list", output="pretty")


def test_what_cannot_be_called_is_told(agent):
    class Nobody:
        url = "http://127.0.0.1:9"

    assert "cannot be reached" in call(Nobody, "card", code=1)
    Nobody.url = "http://agent.example"
    assert "no address that this client calls" in call(Nobody, "card", code=1)
    assert "GRPC" in call(agent, "list", "-binding", "SOAP", code=1)


def test_a_stream_ends_when_its_reader_goes(agent, binding):
    stream = start(agent, "send", "wait", "-stream", "-binding", binding)
    assert "task" in json.loads(stream.stdout.readline())
    stream.send_signal(signal.SIGTERM)
    eventually(lambda: stream.poll() is not None or None, "it has ended")
