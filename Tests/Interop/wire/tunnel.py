"""Mutual TLS with SPIFFE rules for a gRPC library that knows only host names.

Python's gRPC verifies the server's certificate by DNS name and offers no hook for a URI name. A SPIFFE server may have
no DNS name at all, and overriding the expected name would test something other than the SPIFFE ID. So gRPC speaks plain
HTTP/2 to a private Unix socket, and this relay carries the bytes over TLS that it verifies itself: chain against the
given roots, one URI name equal to the expected ID, ALPN `h2`. The server sees an ordinary TLS client.
"""

import asyncio
import os
import shutil
import ssl
import tempfile
import threading
from typing import Iterable, Optional

import grpc
from cryptography import x509

from wire.keys import load_identity, uri_sans


class PeerRefused(Exception):
    """The server's certificate is not the one that was expected."""


def client_context(
    roots: Iterable[bytes], chain: Optional[Iterable[bytes]] = None, key=None, maximum: Optional[ssl.TLSVersion] = None
) -> ssl.SSLContext:
    """TLS 1.2 or later, chain required, no host name check: the caller checks the SPIFFE ID instead."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if maximum is not None:
        context.maximum_version = maximum
    context.set_alpn_protocols(["h2"])
    context.load_verify_locations(cadata=b"".join(roots))
    if chain is not None:
        load_identity(context, chain, key)
    return context


def check_peer(der: Optional[bytes], expected_id: str) -> None:
    if der is None:
        raise PeerRefused("the server sent no certificate")
    found = uri_sans(x509.load_der_x509_certificate(der))
    if found != [expected_id]:
        raise PeerRefused(f"expected {expected_id}, the server is {found}")


class Tunnel:
    """Carries each local connection over its own TLS connection; `error` keeps the last reason of a failure."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, expected_id: str):
        self._host, self._port, self._context, self._expected = host, port, context, expected_id
        self._folder = tempfile.mkdtemp(prefix="agentshield-tunnel-")
        self.path = os.path.join(self._folder, "h2.sock")
        self.error: Optional[Exception] = None
        self.tls_version: Optional[str] = None
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the tunnel did not start")

    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(
            f"unix:{self.path}",
            options=[
                # What a TLS client would send; the default for a Unix socket is its percent-encoded path.
                ("grpc.default_authority", f"{self._host}:{self._port}"),
                ("grpc.http2_scheme", "https"),
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.enable_retries", 0),
                ("grpc.max_receive_message_length", 16 * 1024 * 1024),
            ],
        )

    def close(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._carriers: set[asyncio.Task] = set()
        server = await asyncio.start_unix_server(self._carry, self.path)
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._carriers:
            task.cancel()
        await asyncio.gather(*self._carriers, return_exceptions=True)

    async def _carry(self, local_reader: asyncio.StreamReader, local_writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._carriers.add(task)
        writer = None
        both: list[asyncio.Task] = []
        try:
            reader, writer = await asyncio.wait_for(
                asyncio.open_connection(self._host, self._port, ssl=self._context, server_hostname=""), 10
            )
            tls = writer.get_extra_info("ssl_object")
            check_peer(tls.getpeercert(binary_form=True), self._expected)
            if tls.selected_alpn_protocol() != "h2":
                raise PeerRefused(f"the server chose ALPN {tls.selected_alpn_protocol()!r}, not h2")
            self.tls_version = tls.version()
            both = [
                asyncio.create_task(self._copy(local_reader, writer)),
                asyncio.create_task(self._copy(reader, local_writer)),
            ]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        except (OSError, ssl.SSLError, PeerRefused, asyncio.TimeoutError) as error:
            self.error = error
        except asyncio.CancelledError:
            pass
        finally:
            for copy in both:
                copy.cancel()
            for result in await asyncio.gather(*both, return_exceptions=True):
                if isinstance(result, Exception):
                    self.error = result
            for end in (local_writer, writer):
                if end is not None:
                    end.close()
            self._carriers.discard(task)

    @staticmethod
    async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(64 * 1024):
            sink.write(data)
            await sink.drain()
