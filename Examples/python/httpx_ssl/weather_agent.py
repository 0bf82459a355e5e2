"""The weather agent over HTTPS with nothing but the standard library and the agent's SVID.

    python weather_agent.py --listen 127.0.0.1:9444

`POST /api/v1/task` with a JSON task. Only agents of the own trust domain get through the handshake; what each may do is
decided by its SPIFFE ID.
"""

import argparse
import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from httpx_ssl.identity import Identity, peer_id  # noqa: E402
from permissions import Weather  # noqa: E402

LARGEST_TASK = 64 * 1024


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10

    def setup(self) -> None:
        # In the connection's own thread, so that a silent peer holds up nobody.
        self.request.settimeout(self.timeout)
        self.request.do_handshake()
        self.caller = peer_id(self.request)
        super().setup()

    def do_POST(self) -> None:
        try:
            length = int(self.headers.get("Content-Length", ""))
            if self.path != "/api/v1/task" or not 0 <= length <= LARGEST_TASK:
                raise ValueError
            task = json.loads(self.rfile.read(length))
        except ValueError:
            self._answer(400, {"error": "a JSON task is expected at /api/v1/task"})
            return
        me = self.server.identity.id
        answer = self.server.weather.handle(self.caller, me.trust_domain, task)
        print(json.dumps({"served": answer}), flush=True)
        self._answer(403 if "error" in answer else 200, answer)

    def _answer(self, status: int, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status == 400:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address, identity: Identity):
        self.identity = identity
        self.weather = Weather()
        super().__init__(address, Handler)

    def get_request(self):
        sock, address = super().get_request()
        own = self.identity.id.trust_domain
        context = self.identity.server_context(lambda caller: caller.trust_domain == own)
        return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request, client_address) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, (ssl.SSLError, OSError)):
            raise error
        print(json.dumps({"refused": type(error).__name__}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", default="127.0.0.1:9444", metavar="IP:PORT", help="port 0 takes a free one")
    parser.add_argument("--id", help="which identity to use, when this process has several")
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")

    identity = Identity(options.id)
    with Server((host, int(port)), identity) as server:
        host, port = server.server_address
        print(json.dumps({"listening": f"{host}:{port}", "as": str(identity.id)}), flush=True)
        server.serve_forever()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
