"""Samples a trust domain whose authority lives for a minute."""

import threading
import time
from dataclasses import dataclass
from typing import Optional

import grpc
from cryptography import x509

from harness import rules
from stage.deployment import OneProcess, uid_selector
from wire import messages as m
from wire.workload import first

EVERY = 3.0
SAMPLES = 20
"""From second 0 to 57: the next authority signs from second 50 on (the last sixth of 60 s)."""


@dataclass
class Sample:
    at: float
    leaf: x509.Certificate
    roots: list[x509.Certificate]
    token: str
    jwks: bytes


class RotationWatch:
    """Takes samples in a thread of its own; an error is kept and is the test's."""

    def __init__(self):
        self.domain = OneProcess("rotation.test", extra=["-caTTL", "60s", "-defaultX509SVIDTTL", "10s"]).start()
        self.began = time.monotonic()
        self.samples: list[Sample] = []
        self.error: Optional[BaseException] = None
        self.pushed: list[m.workload.X509SVIDResponse] = []
        self._halt = threading.Event()
        self.domain.entry("/rotating", [uid_selector()])
        self.domain.wait_for_ids("/rotating")
        self._stream_api = self.domain.workload()
        self._stream = self._stream_api.x509_svids(timeout=300)
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._sample, self._follow)]
        for thread in self._threads:
            thread.start()

    def wait(self) -> list[Sample]:
        self._threads[0].join(SAMPLES * EVERY + 60)
        if self.error is not None:
            raise AssertionError(f"sample {len(self.samples)}: {self.error!r}") from self.error
        assert len(self.samples) == SAMPLES, f"{len(self.samples)} samples of {SAMPLES}"
        return self.samples

    def stop(self) -> None:
        self._halt.set()
        self._stream.cancel()
        for thread in self._threads:
            thread.join(30)
        self._stream_api.close()
        self.domain.discard()

    def _sample(self) -> None:
        try:
            for number in range(SAMPLES):
                if self._halt.wait(max(0.0, self.began + number * EVERY - time.monotonic())):
                    return
                self.samples.append(self._take())
        except BaseException as error:  # noqa: BLE001 - it is raised again where the test waits
            self.error = error

    def _take(self) -> Sample:
        """One fetch, checked at once: a short-lived certificate says nothing later."""
        with self.domain.workload() as api:
            (svid,) = first(api.x509_svids()).svids
            leaf = rules.check_x509_svid(svid, self.domain.name, f"{self.domain.id}/rotating")
            roots = [x509.load_der_x509_certificate(der) for der in rules.split_der(svid.bundle)]
            (token,) = api.jwt_svid(["watch"]).svids
            bundle = first(api.jwt_bundles()).bundles[self.domain.id]
            assert self._validated(api, token.svid) == f"{self.domain.id}/rotating"
        return Sample(time.monotonic() - self.began, leaf, roots, token.svid, bundle)

    @staticmethod
    def _validated(api, token: str) -> str:
        """Whose token it is. With certificates of 10 s a busy machine may know for a moment not what is revoked, and then
        nothing is vouched for."""
        for attempt in range(4):
            try:
                return api.validate("watch", token).spiffe_id
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE or attempt == 3:
                    raise
                time.sleep(1)
        raise AssertionError("unreachable")

    def _follow(self) -> None:
        try:
            for message in self._stream:
                self.pushed.append(message)
        except Exception:  # noqa: BLE001 - the stream ends when the watch stops
            return
