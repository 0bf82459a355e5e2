"""The planner agent with httpx: its SVID is the client certificate, the weather agent's SPIFFE ID is what it trusts.

python planner_agent.py --server https://127.0.0.1:9444
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

import httpx
from spiffe import SpiffeId

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from httpx_ssl.identity import Identity  # noqa: E402


async def plan(server: str, identity: Identity, weather: SpiffeId) -> None:
    context = identity.client_context(lambda peer: peer == weather)
    async with httpx.AsyncClient(verify=context, timeout=10, trust_env=False) as client:
        for task in ({"action": "report", "city": "Oslo", "sky": "snow"}, {"action": "forecast", "city": "Oslo"}):
            response = await client.post(f"{server}/api/v1/task", json=task)
            print(json.dumps({"status": response.status_code, **response.json()}), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", default="https://127.0.0.1:9444", metavar="URL")
    parser.add_argument("--id", help="which identity to use, when this process has several")
    parser.add_argument("--expect", default="/weather", help="path of the agent that must answer")
    options = parser.parse_args()

    identity = Identity(options.id)
    try:
        weather = SpiffeId(f"spiffe://{identity.id.trust_domain.name}{options.expect}")
        asyncio.run(plan(options.server, identity, weather))
    except httpx.ConnectError as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    finally:
        identity.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
