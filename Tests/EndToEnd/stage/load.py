"""Many clients at once that remember what they were given."""

import threading
from typing import Callable

import grpc


class Load:
    """Calls `work` in threads until it is stopped or the server goes; keeps what it returned."""

    def __init__(self, *workers: Callable[[], list]):
        self.got: list = []
        self.refused: list[grpc.StatusCode] = []
        self.errors: list[BaseException] = []
        self._halt = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(work,), daemon=True) for work in workers]
        for thread in self._threads:
            thread.start()

    def _run(self, work: Callable[[], list]) -> None:
        while not self._halt.is_set():
            try:
                got = work()
            except grpc.RpcError as error:
                with self._lock:
                    self.refused.append(error.code())
                return
            except BaseException as error:  # noqa: BLE001 - it is the test's
                with self._lock:
                    self.errors.append(error)
                return
            with self._lock:
                self.got.extend(got)

    @property
    def count(self) -> int:
        with self._lock:
            return len(self.got)

    def stop(self) -> list:
        self._halt.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "a client hangs"
        assert not self.errors, self.errors[0]
        return self.got
