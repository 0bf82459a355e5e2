"""The secret discovery service at the level of raw calls."""

import queue

import grpc

from wire import messages as m

SERVICE = "/envoy.service.secret.v3.SecretDiscoveryService/"
TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
VALIDATOR = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig"


def node(minor: int = 40, **metadata):
    """Who asks: an Envoy of version 1.`minor`."""
    made = m.sds.Node(id="test", user_agent_build_version=m.sds.BuildVersion(version=m.sds.Version(major=1, minor=minor)))
    made.metadata.update(metadata)
    return made


def request(*names: str, **fields):
    return m.sds.DiscoveryRequest(resource_names=names, type_url=TYPE, **fields)


def secrets(response) -> dict:
    """The secrets of a response by their names."""
    found = {}
    for resource in response.resources:
        assert resource.type_url == TYPE
        secret = m.sds.Secret.FromString(resource.value)
        found[secret.name] = secret
    return found


def trust_domains(secret) -> dict[str, bytes]:
    """The PEM bundles that the SPIFFE validator is configured with."""
    custom = secret.validation_context.custom_validator_config
    assert custom.name == "envoy.tls.cert_validator.spiffe" and custom.typed_config.type_url == VALIDATOR
    configuration = m.sds.SPIFFECertValidatorConfig.FromString(custom.typed_config.value)
    return {domain.name: domain.trust_bundle.inline_bytes for domain in configuration.trust_domains}


class Stream:
    """One StreamSecrets call; leave it with `close`."""

    def __init__(self, channel: grpc.Channel, timeout: float = 60):
        self._requests: queue.Queue = queue.Queue()
        call = channel.stream_stream(
            SERVICE + "StreamSecrets", lambda message: message.SerializeToString(), m.sds.DiscoveryResponse.FromString
        )
        self._call = call(iter(self._requests.get, None), timeout=timeout)
        self._replies: queue.Queue = queue.Queue()
        import threading

        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for message in self._call:
                self._replies.put(message)
            self._replies.put(None)
        except grpc.RpcError as error:
            self._replies.put(error)

    def send(self, message) -> None:
        self._requests.put(message)

    def receive(self, timeout: float = 15):
        """The next response; raises what the call ended with."""
        reply = self._replies.get(timeout=timeout)
        if isinstance(reply, grpc.RpcError):
            raise reply
        return reply

    def is_quiet(self, seconds: float) -> bool:
        """Whether nothing comes for this long."""
        try:
            reply = self._replies.get(timeout=seconds)
        except queue.Empty:
            return True
        self._replies.put(reply)
        return False

    def close(self) -> None:
        self._requests.put(None)
        self._call.cancel()


def fetch(channel: grpc.Channel, message, timeout: float = 15):
    call = channel.unary_unary(
        SERVICE + "FetchSecrets", lambda message: message.SerializeToString(), m.sds.DiscoveryResponse.FromString
    )
    return call(message, timeout=timeout)
