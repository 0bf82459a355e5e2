"""The planner agent with `spiffe-tls`: asks the weather agent, and reports what it saw.

    python planner_agent.py --server 127.0.0.1:9443

It talks only to the agent whose SPIFFE ID ends in `/weather` in its own trust domain; anyone else at that address is
refused before a byte of the task is sent.
"""

import argparse
import json
import sys

from spiffe import SpiffeId, X509Source
from spiffetls import dial
from spiffetls.errors import TLSConnectionError
from spiffetls.tlsconfig.authorize import authorize_id


def ask(source: X509Source, server: str, expected: SpiffeId, task: dict) -> dict:
    connection = dial(server, source, authorize_fn=authorize_id(expected))
    try:
        connection.sendall(json.dumps(task).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            answer += connection.recv(4096)
        return json.loads(answer)
    finally:
        connection.close()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", default="127.0.0.1:9443", metavar="IP:PORT")
    parser.add_argument("--id", help="which identity to use, when this process has several")
    parser.add_argument("--expect", default="/weather", help="path of the agent that must answer")
    options = parser.parse_args()

    picker = (lambda svids: next(s for s in svids if str(s.spiffe_id) == options.id)) if options.id else None
    with X509Source(svid_picker=picker, timeout_in_seconds=30) as source:
        me = source.get_x509_context().default_svid.spiffe_id
        weather = SpiffeId(f"spiffe://{me.trust_domain.name}{options.expect}")
        try:
            for task in ({"action": "report", "city": "Oslo", "sky": "snow"}, {"action": "forecast", "city": "Oslo"}):
                print(json.dumps(ask(source, options.server, weather, task)), flush=True)
        except TLSConnectionError as error:
            print(f"refused: the agent at {options.server} is not {weather} ({error})", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
