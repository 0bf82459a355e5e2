"""Compiles `proto/interop/*.proto` into a temporary folder and exposes the modules.

Nothing generated is committed: the numbers in the protos are the only source, so they stay an independent second
reading of the wire format.
"""

import atexit
import importlib
import shutil
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

_PROTO_ROOT = Path(__file__).resolve().parent / "proto"


def _compile() -> Path:
    out = Path(tempfile.mkdtemp(prefix="agentshield-wire-"))
    atexit.register(shutil.rmtree, out, ignore_errors=True)
    well_known = Path(protoc.__file__).resolve().parent / "_proto"
    sources = sorted(str(p) for p in (_PROTO_ROOT / "interop").glob("*.proto"))
    code = protoc.main(
        ["protoc", f"-I{_PROTO_ROOT}", f"-I{well_known}", f"--python_out={out}", f"--grpc_python_out={out}", *sources]
    )
    if code != 0:
        raise RuntimeError(f"protoc failed with {code}")
    # A package of its own, so that no plain `interop` on the path can shadow it.
    (out / "interop" / "__init__.py").touch()
    return out


_generated = _compile()
sys.path.insert(0, str(_generated))
try:
    types = importlib.import_module("interop.types_pb2")
    agent = importlib.import_module("interop.agent_pb2")
    agent_grpc = importlib.import_module("interop.agent_pb2_grpc")
    entry = importlib.import_module("interop.entry_pb2")
    entry_grpc = importlib.import_module("interop.entry_pb2_grpc")
    svid = importlib.import_module("interop.svid_pb2")
    svid_grpc = importlib.import_module("interop.svid_pb2_grpc")
    bundle = importlib.import_module("interop.bundle_pb2")
    bundle_grpc = importlib.import_module("interop.bundle_pb2_grpc")
    trustdomain = importlib.import_module("interop.trustdomain_pb2")
    trustdomain_grpc = importlib.import_module("interop.trustdomain_pb2_grpc")
    logger = importlib.import_module("interop.logger_pb2")
    logger_grpc = importlib.import_module("interop.logger_pb2_grpc")
    debug = importlib.import_module("interop.debug_pb2")
    debug_grpc = importlib.import_module("interop.debug_pb2_grpc")
    agent_logger_grpc = importlib.import_module("interop.agent_logger_pb2_grpc")
    agent_debug = importlib.import_module("interop.agent_debug_pb2")
    agent_debug_grpc = importlib.import_module("interop.agent_debug_pb2_grpc")
    workload = importlib.import_module("interop.workload_pb2")
    health = importlib.import_module("interop.health_pb2")
    health_grpc = importlib.import_module("interop.health_pb2_grpc")
    sds = importlib.import_module("interop.sds_pb2")
    rpcstatus = importlib.import_module("google.rpc.status_pb2")
finally:
    sys.path.remove(str(_generated))
