"""What a caller may do at the weather agent: its SPIFFE ID decides, nothing else."""

from spiffe import SpiffeId, TrustDomain

READ_ONLY = frozenset({"forecast"})
READ_WRITE = READ_ONLY | {"report"}

WRITERS = ("/planner",)
"""Paths of the agents that may also report observations."""


def permissions(caller: SpiffeId, trust_domain: TrustDomain) -> frozenset[str]:
    """The actions open to `caller`; none for an agent of another trust domain."""
    if caller.trust_domain != trust_domain:
        return frozenset()
    return READ_WRITE if caller.path in WRITERS else READ_ONLY


class Weather:
    """The agent's actual work, the same behind every transport."""

    def __init__(self) -> None:
        self._observed: dict[str, str] = {}

    def handle(self, caller: SpiffeId, trust_domain: TrustDomain, task: dict) -> dict:
        action, city = task.get("action"), str(task.get("city", ""))
        if action not in permissions(caller, trust_domain):
            return {"error": "not permitted", "action": action, "caller": str(caller)}
        if action == "report":
            self._observed[city] = str(task.get("sky", ""))
            return {"stored": city, "caller": str(caller)}
        return {"city": city, "sky": self._observed.get(city, "clear"), "caller": str(caller)}
