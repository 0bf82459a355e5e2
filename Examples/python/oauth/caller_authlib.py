"""The calling agent with authlib: its JWT-SVID, fresh from the Workload API, is its credential. No secret, no file.

SPIFFE_ENDPOINT_SOCKET and REQUESTS_CA_BUNDLE are what `agentshield env` printed.

python caller_authlib.py --issuer https://localhost:8443/oauth2 --agent https://localhost:9446
"""

import argparse
import json
import sys

from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from spiffe import WorkloadApiClient

SVID_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--issuer", default="https://localhost:8443/oauth2", metavar="URL")
    parser.add_argument("--agent", default="https://localhost:9446", metavar="URL")
    parser.add_argument("--resource", default="api://agent-b")
    options = parser.parse_args()

    with WorkloadApiClient() as workload:
        svid = workload.fetch_jwt_svid(audience={options.issuer})
    # The SVID says who we are: authlib adds the client ID and nothing else.
    with OAuth2Session(str(svid.spiffe_id), token_endpoint_auth_method="none") as session:
        try:
            session.fetch_token(
                f"{options.issuer}/token", grant_type="client_credentials", resource=options.resource,
                client_assertion=svid.token, client_assertion_type=SVID_ASSERTION,
            )  # fmt: skip
        except OAuthError as error:
            print(f"no token: {error.error}", file=sys.stderr)
            return 1
        reply = session.post(f"{options.agent}/api/task", json={"action": "summarize"})
    print(json.dumps({"status": reply.status_code, **reply.json()}), flush=True)
    return 0 if reply.ok else 1


if __name__ == "__main__":
    sys.exit(main())
