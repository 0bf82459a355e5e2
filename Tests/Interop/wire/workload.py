"""The Workload API at the level of raw calls: every header and every code is the caller's choice."""

from typing import Iterable, Optional

import grpc

from wire import messages as m

HEADER = (("workload.spiffe.io", "true"),)
SERVICE = "/SpiffeWorkloadAPI/"


class Workload:
    def __init__(self, socket_path: str, authority: Optional[str] = None):
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        if authority is not None:
            options.append(("grpc.default_authority", authority))
        self.channel = grpc.insecure_channel(f"unix:{socket_path}", options=options)
        self.health = m.health_grpc.HealthStub(self.channel)

    def close(self) -> None:
        self.channel.close()

    def __enter__(self) -> "Workload":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _stream(self, method: str, reply, headers: Iterable, timeout: float, request=None):
        call = self.channel.unary_stream(
            SERVICE + method, lambda message: message.SerializeToString(), reply.FromString
        )
        return call(request or m.workload.Empty(), metadata=tuple(headers), timeout=timeout)

    def _unary(self, method: str, reply, request, headers: Iterable, timeout: float):
        call = self.channel.unary_unary(SERVICE + method, lambda message: message.SerializeToString(), reply.FromString)
        return call(request, metadata=tuple(headers), timeout=timeout)

    def x509_svids(self, headers=HEADER, timeout: float = 10, request=None):
        return self._stream("FetchX509SVID", m.workload.X509SVIDResponse, headers, timeout, request)

    def x509_bundles(self, headers=HEADER, timeout: float = 10):
        return self._stream("FetchX509Bundles", m.workload.X509BundlesResponse, headers, timeout)

    def jwt_bundles(self, headers=HEADER, timeout: float = 10):
        return self._stream("FetchJWTBundles", m.workload.JWTBundlesResponse, headers, timeout)

    def jwt_svid(self, audience: Iterable[str], spiffe_id: str = "", headers=HEADER, timeout: float = 10):
        request = m.workload.JWTSVIDRequest(audience=list(audience), spiffe_id=spiffe_id)
        return self._unary("FetchJWTSVID", m.workload.JWTSVIDResponse, request, headers, timeout)

    def validate(self, audience: str, svid: str, headers=HEADER, timeout: float = 10):
        request = m.workload.ValidateJWTSVIDRequest(audience=audience, svid=svid)
        return self._unary("ValidateJWTSVID", m.workload.ValidateJWTSVIDResponse, request, headers, timeout)

    def unknown(self, method: str = "NoSuchMethod", headers=HEADER, timeout: float = 10):
        return self._unary(method, m.workload.Empty, m.workload.Empty(), headers, timeout)


def first(stream):
    """The first message of a stream, which is then cancelled."""
    try:
        return next(iter(stream))
    finally:
        stream.cancel()
