"""A workload with another uid: `python -m harness.as_user UID SOCKET` prints what it gets as one JSON line.

The interpreter may live where only its owner can read (a home folder), so everything is imported first and the process
changes its user after: the kernel's word on the peer is taken when the socket is connected.
"""

import encodings.idna  # noqa: F401
import json
import os
import subprocess
import sys
from pathlib import Path

import grpc
from spiffe import WorkloadApiClient
from spiffe.workloadapi.errors import FetchX509SvidError

from wire.workload import Workload, first


def ask(uid: int, socket: str) -> dict:
    """Runs this module as another user."""
    result = subprocess.run(
        [sys.executable, "-m", "harness.as_user", str(uid), socket],
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def main(uid: int, socket: str) -> dict:
    if os.getuid() != uid:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    with Workload(socket) as api:
        try:
            answer = {"code": "OK", "ids": [svid.spiffe_id for svid in first(api.x509_svids()).svids]}
        except grpc.RpcError as error:
            answer = {"code": error.code().name, "ids": []}
    try:
        with WorkloadApiClient(f"unix://{socket}", default_timeout=10) as client:
            answer["stock"] = [str(svid.spiffe_id) for svid in client.fetch_x509_svids()]
    except FetchX509SvidError as error:
        answer["stock"] = str(error)
    return answer


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), sys.argv[2])))
