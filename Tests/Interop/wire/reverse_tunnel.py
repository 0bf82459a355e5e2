"""The server's half of `tunnel`: TLS that asks for a client certificate and does not demand one, on one port.

Python's gRPC can either verify every client or none. This relay does what SPIRE's server does (§3.2), hands the plain
bytes to gRPC on another loopback port, and remembers by the port it comes from who sits behind each connection.
"""

import asyncio
import socket
import ssl
import threading
from typing import Callable, Optional

from cryptography import x509

NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME: an expired certificate is for the API to refuse, with its reason."""


class ReverseTunnel:
    """`context` is asked anew for each connection, so that authorities and the server's certificate can change."""

    def __init__(self, context: Callable[[], ssl.SSLContext], inner_port: int, port: int = 0):
        self._context, self._inner = context, inner_port
        self._loop = asyncio.new_event_loop()
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._peers: dict[int, Optional[x509.Certificate]] = {}
        self._carriers: set[asyncio.Task] = set()
        self.accepted = 0
        self.refused: list[Exception] = []
        # Made here, not in the thread: a test may close the tunnel before that has begun.
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def peer(self, port: int) -> Optional[x509.Certificate]:
        """The certificate of the client whose bytes come from this inner port."""
        return self._peers.get(port)

    def cut(self) -> None:
        """Ends every connection at once; new ones are accepted."""
        self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._carriers])

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        accepting = asyncio.create_task(self._accept())
        await self._stop.wait()
        accepting.cancel()
        for task in self._carriers:
            task.cancel()
        await asyncio.gather(accepting, *self._carriers, return_exceptions=True)
        self._listener.close()

    async def _accept(self) -> None:
        while True:
            connection, _ = await self._loop.sock_accept(self._listener)
            self.accepted += 1
            task = asyncio.create_task(self._carry(connection))
            self._carriers.add(task)
            task.add_done_callback(self._carriers.discard)

    async def _carry(self, connection: socket.socket) -> None:
        writers: list[asyncio.StreamWriter] = []
        inner_port = None
        both: list[asyncio.Task] = []
        try:
            reader = asyncio.StreamReader()
            protocol = asyncio.StreamReaderProtocol(reader)
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: protocol, connection, ssl=self._context(), ssl_handshake_timeout=10
            )
            writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
            writers.append(writer)
            shown = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._inner)
            writers.append(inner_writer)
            inner_port = inner_writer.get_extra_info("sockname")[1]
            self._peers[inner_port] = x509.load_der_x509_certificate(shown) if shown else None
            both = [
                asyncio.create_task(self._copy(reader, inner_writer)),
                asyncio.create_task(self._copy(inner_reader, writer)),
            ]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        except (OSError, ssl.SSLError, asyncio.TimeoutError) as error:
            self.refused.append(error)
            connection.close()
        finally:
            for copy in both:
                copy.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            for writer in writers:
                writer.transport.abort()
            self._peers.pop(inner_port, None)

    @staticmethod
    async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(64 * 1024):
            sink.write(data)
            await sink.drain()
