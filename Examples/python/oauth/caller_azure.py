"""The calling agent with azure-identity, unmodified: the environment says who it is and where to ask.

AZURE_AUTHORITY_HOST, AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_FEDERATED_TOKEN_FILE are what `agentshield identity create`
printed; `agentshield svid watch` keeps the file. SSL_CERT_FILE and REQUESTS_CA_BUNDLE are what `agentshield env` printed.

python caller_azure.py --agent https://localhost:9446
"""

import argparse
import json
import sys

import httpx
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import WorkloadIdentityCredential


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--agent", default="https://localhost:9446", metavar="URL")
    parser.add_argument("--scope", default="api://agent-b/.default")
    options = parser.parse_args()

    try:
        token = WorkloadIdentityCredential().get_token(options.scope).token
    except ClientAuthenticationError as error:
        print(f"no token: {error.message}", file=sys.stderr)
        return 1
    reply = httpx.post(f"{options.agent}/api/task", headers={"Authorization": f"Bearer {token}"}, json={"action": "summarize"})
    print(json.dumps({"status": reply.status_code, **reply.json()}), flush=True)
    return 0 if reply.is_success else 1


if __name__ == "__main__":
    sys.exit(main())
