"""An ASGI application on loopback, over TLS, while a test runs."""

import contextlib
import threading
from pathlib import Path

import uvicorn

from harness.polling import eventually


@contextlib.contextmanager
def serving(application, certificate: tuple[Path, Path]):
    """Gives the URL under which `application` answers."""
    chain, key = certificate
    server = uvicorn.Server(
        uvicorn.Config(
            application, host="127.0.0.1", port=0, ssl_certfile=chain, ssl_keyfile=key, log_level="warning", lifespan="off"
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        eventually(lambda: server.started, "the application serves")
        yield f"https://localhost:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(15)
