"""The wire between node agent and control plane, which a test cuts and mends."""

import contextlib
import socket
import struct
import threading
import time


LAST_ACK_RECEIVED = 56
"""Where `struct tcp_info` has the milliseconds since the peer was heard last."""


def since_last_heard(connection: socket.socket) -> float:
    """Seconds, as the kernel counts them. Of a connection just accepted: how long it waited for that on a busy machine.
    A client that speaks first is waiting for the answer, and says nothing more meanwhile."""
    told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, LAST_ACK_RECEIVED + 4)
    return struct.unpack_from("I", told, LAST_ACK_RECEIVED)[0] / 1000


class Line:
    """Carries the bytes of every connection to `port` on loopback, until it is cut; then nothing gets through."""

    def __init__(self, port: int):
        self._target = port
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._is_whole = True
        self.arrivals: list[float] = []
        """When each connection came (monotonic clock), also those that did not get through; in the order of being accepted."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        with self._lock:
            self._is_whole = False
            for end in self._open:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            self._open.clear()

    def mend(self) -> None:
        with self._lock:
            self._is_whole = True

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.arrivals.append(time.monotonic() - since_last_heard(near))
            with self._lock:
                far = self._dial() if self._is_whole else None
                if far is None:
                    near.close()
                    continue
                self._open |= {near, far}
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    def _dial(self):
        try:
            far = socket.create_connection(("127.0.0.1", self._target), 5)
            # The limit is for connecting: a connection on which nothing is said for a while stays.
            far.settimeout(None)
            return far
        except OSError:
            return None

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
