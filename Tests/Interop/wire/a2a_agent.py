"""An agent of Python's a2a-sdk on loopback, over all three bindings, in an event loop on a thread of its own."""

import asyncio
import contextlib
import threading

import grpc.aio
import uvicorn
from a2a.helpers.proto_helpers import new_task_from_user_message, new_text_message
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.request_handlers.grpc_handler import GrpcHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import InMemoryPushNotificationConfigStore, InMemoryTaskStore, TaskUpdater
from a2a.types import a2a_pb2, a2a_pb2_grpc
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware

from harness.polling import eventually

BINDINGS = ("JSONRPC", "HTTP+JSON", "GRPC")


class Executor(AgentExecutor):
    """Does what the text of the message says."""

    async def execute(self, context, event_queue):
        words = context.get_user_input().split()
        if words[:1] == ["just"]:
            await event_queue.enqueue_event(new_text_message("no task needed", context_id=context.context_id, role=a2a_pb2.ROLE_AGENT))
            return
        if context.current_task is None:
            await event_queue.enqueue_event(new_task_from_user_message(context.message))
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updater.start_work()
        if words[:1] == ["ask"]:
            await updater.requires_input(new_text_message("which one?", role=a2a_pb2.ROLE_AGENT))
            return
        if words[:1] == ["wait"]:
            await asyncio.sleep(3600)
        for place, word in enumerate(words):
            await updater.add_artifact(
                [a2a_pb2.Part(text=word)], artifact_id="words", name="Words", append=place > 0, last_chunk=place == len(words) - 1
            )
        if words[:1] == ["fail"]:
            await updater.failed(new_text_message("as you said", role=a2a_pb2.ROLE_AGENT))
        else:
            await updater.complete()

    async def cancel(self, context, event_queue):
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


class Seen(BaseHTTPMiddleware):
    """Remembers the headers of every request."""

    def __init__(self, app, requests: list):
        super().__init__(app)
        self.requests = requests

    async def dispatch(self, request, call_next):
        self.requests.append((request.method, request.url.path, dict(request.headers)))
        return await call_next(request)


class Agent:
    def __init__(self, url: str, requests: list, metadata: list):
        self.url = url
        self.requests = requests
        self.metadata = metadata


class SeenMetadata(grpc.aio.ServerInterceptor):
    def __init__(self, metadata: list):
        self.metadata = metadata

    async def intercept_service(self, continuation, details):
        self.metadata.append((details.method, dict(details.invocation_metadata)))
        return await continuation(details)


def card(http: str, grpc_address: str) -> a2a_pb2.AgentCard:
    return a2a_pb2.AgentCard(
        name="Stock agent",
        description="Does what one says.",
        version="1.2.3",
        supported_interfaces=[
            a2a_pb2.AgentInterface(url="https://old.invalid", protocol_binding="JSONRPC", protocol_version="0.3"),
            a2a_pb2.AgentInterface(url=f"{http}/rpc", protocol_binding="JSONRPC", protocol_version="1.0"),
            a2a_pb2.AgentInterface(url=f"{http}/rest", protocol_binding="HTTP+JSON", protocol_version="1.0"),
            a2a_pb2.AgentInterface(url=grpc_address, protocol_binding="GRPC", protocol_version="1.0"),
        ],
        capabilities=a2a_pb2.AgentCapabilities(streaming=True, push_notifications=True, extended_agent_card=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[a2a_pb2.AgentSkill(id="obey", name="Obey", description="Obeys.", tags=["test"])],
    )


@contextlib.contextmanager
def running():
    """Gives the agent."""
    requests, metadata, started, ended = [], [], threading.Event(), []
    agent = Agent("", requests, metadata)
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve():
        calls = grpc.aio.server(interceptors=[SeenMetadata(metadata)])
        port = calls.add_insecure_port("127.0.0.1:0")
        web = uvicorn.Server(uvicorn.Config(None, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
        application = Starlette()
        application.add_middleware(Seen, requests=requests)
        web.config.app = application
        web.config.load()
        serving = asyncio.create_task(web.serve())
        while not web.started:
            await asyncio.sleep(0.01)
        agent.url = f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}"
        shown = card(agent.url, f"127.0.0.1:{port}")
        handler = DefaultRequestHandler(
            agent_executor=Executor(), task_store=InMemoryTaskStore(), agent_card=shown, extended_agent_card=shown,
            push_config_store=InMemoryPushNotificationConfigStore(),
        )  # fmt: skip
        application.router.routes.extend(
            [
                *create_agent_card_routes(shown),
                *create_jsonrpc_routes(handler, "/rpc"),
                *create_rest_routes(handler, path_prefix="/rest"),
            ]
        )
        a2a_pb2_grpc.add_A2AServiceServicer_to_server(GrpcHandler(handler), calls)
        await calls.start()
        started.set()
        await stop.wait()
        await calls.stop(0)
        web.force_exit = web.should_exit = True
        await serving

    def run():
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(serve())
        except BaseException as error:  # noqa: BLE001 (told below)
            ended.append(error)
            started.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        eventually(started.is_set, "the agent serves")
        assert not ended, ended
        yield agent
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(15)
