"""What a gRPC refusal says, its SPIRE detail reason included."""

from typing import Optional

import grpc

from wire import messages as m

Reason = m.types.PermissionDeniedDetails.Reason


def denied_reason(error: grpc.RpcError) -> Optional[str]:
    """The name of `PermissionDeniedDetails.reason` in the trailer `grpc-status-details-bin`, or None (§3.2, step 9)."""
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        status = m.rpcstatus.Status.FromString(value)
        if status.code != error.code().value[0]:
            raise AssertionError(f"the details say code {status.code}, the status {error.code()}")
        for detail in status.details:
            found = m.types.PermissionDeniedDetails()
            if detail.Is(found.DESCRIPTOR):
                detail.Unpack(found)
                return Reason.Name(found.reason)
    return None
