"""A calling agent whose token is bound to a key of its own (DPoP, RFC 9449): whoever steals the token cannot use it.

`requests_oauth2client` makes the proofs and learns the server's nonces by itself. SPIFFE_ENDPOINT_SOCKET and REQUESTS_CA_BUNDLE
are what `agentshield env` printed.

python caller_dpop.py --issuer https://localhost:8443/oauth2 --agent https://localhost:9446
"""

import argparse
import json
import sys

import requests
from requests_oauth2client import OAuth2Client, PublicApp
from requests_oauth2client.exceptions import EndpointError
from spiffe import WorkloadApiClient

SVID_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--issuer", default="https://localhost:8443/oauth2", metavar="URL")
    parser.add_argument("--agent", metavar="URL", help="an agent to call with the token")
    parser.add_argument("--resource", default="api://agent-b")
    options = parser.parse_args()

    with WorkloadApiClient() as workload:
        svid = workload.fetch_jwt_svid(audience={options.issuer})
    credential = {"client_assertion": svid.token, "client_assertion_type": SVID_ASSERTION}
    metadata = f"{options.issuer}/.well-known/openid-configuration"
    client = OAuth2Client.from_discovery_endpoint(metadata, issuer=options.issuer, auth=PublicApp(str(svid.spiffe_id)))
    try:
        token = client.client_credentials(resource=options.resource, dpop=True, **credential)
    except EndpointError as error:
        print(f"no token: {error.error}", file=sys.stderr)
        return 1
    facts = client.introspect_token(token, **credential)
    print(json.dumps({"token_type": facts["token_type"], "bound_to_our_key": facts["cnf"] == {"jkt": token.dpop_key.dpop_jkt}}))
    if options.agent:
        # The token is its own `requests` authentication: it adds a proof for this very request.
        reply = requests.post(f"{options.agent}/api/task", auth=token, json={"action": "summarize"}, timeout=10)
        print(json.dumps({"status": reply.status_code, **reply.json()}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
