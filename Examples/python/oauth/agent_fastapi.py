"""The receiving agent: FastAPI, and python-jose for the token. Whoever has no token for it, with the right scope, is refused.

python agent_fastapi.py --issuer https://localhost:8443/example.org/v2.0 --cert agent-b/svid.pem --key agent-b/svid.key
"""

import argparse
import json
import time
from typing import Annotated

import httpx
import uvicorn
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from jose import JWTError, jwt
from jose.exceptions import JOSEError

# python-jose lets a token without these pass unless it is told otherwise.
REQUIRED = {f"require_{name}": True for name in ("iss", "sub", "aud", "exp", "iat")}


class Issuer:
    """The token service: its name, and its keys as its metadata says."""

    ALGORITHMS = ("RS256", "ES256")
    SECONDS_BETWEEN_READS = 10
    """A token with a made-up key ID must not make us ask the issuer each time."""

    def __init__(self, name: str):
        self.name = name
        self._keys: dict[str, dict] = {}
        self._read_at = float("-inf")

    def key(self, key_id: str) -> dict:
        if key_id not in self._keys and time.monotonic() - self._read_at > self.SECONDS_BETWEEN_READS:
            self._read()
        if key_id not in self._keys:
            raise JWTError("unknown key")
        return self._keys[key_id]

    def _read(self) -> None:
        self._read_at = time.monotonic()
        metadata = httpx.get(f"{self.name}/.well-known/openid-configuration").raise_for_status().json()
        if metadata["issuer"] != self.name:
            raise ValueError(f"the metadata is of {metadata['issuer']}")
        keys = httpx.get(metadata["jwks_uri"]).raise_for_status().json()["keys"]
        self._keys = {key["kid"]: key for key in keys}


def verify(token: str, issuer: Issuer, audience: str) -> dict:
    """The claims of a good access token; `JOSEError` for everything else."""
    header = jwt.get_unverified_header(token)
    # Other tokens of the same issuer must not pass for access tokens (RFC 9068 §4).
    if header.get("typ", "").lower().removeprefix("application/") != "at+jwt":
        raise JWTError("no access token")
    # The key decides which algorithm is right, never the token.
    key = issuer.key(header.get("kid", ""))
    if key["alg"] not in Issuer.ALGORITHMS or "crit" in header:
        raise JWTError("a header that is not understood")
    claims = jwt.decode(token, key, [key["alg"]], audience=audience, issuer=issuer.name, options=REQUIRED)
    # Such a token is good only with a proof of its key, and nothing here could check one.
    if "cnf" in claims:
        raise JWTError("bound to a key")
    return claims


def application(issuer: Issuer, audience: str, scope: str) -> FastAPI:
    app = FastAPI()
    bearer = HTTPBearer()

    def caller(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> dict:
        try:
            claims = verify(credentials.credentials, issuer, audience)
        except JOSEError:
            raise HTTPException(401, "invalid token", {"WWW-Authenticate": 'Bearer error="invalid_token"'}) from None
        if scope not in claims.get("scope", "").split():
            raise HTTPException(403, "the token does not have the scope", {"WWW-Authenticate": f'Bearer scope="{scope}"'})
        return claims

    @app.post("/api/task")
    def task(claims: Annotated[dict, Depends(caller)]) -> dict:
        # `sub` is who began; `act` is who calls now on its behalf, if that is somebody else.
        return {"done": True, "for": claims["sub"], "called_by": claims.get("act", claims)["sub"]}

    return app


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--issuer", required=True, metavar="URL", help="of the token service: BASE/TENANT/v2.0 or BASE/oauth2")
    parser.add_argument("--audience", default="api://agent-b", help="the resource that this agent is")
    parser.add_argument("--scope", default="AI.Task.Execute", help="what a caller needs")
    parser.add_argument("--port", type=int, default=9446)
    parser.add_argument("--cert", required=True, help="certificate chain for TLS")
    parser.add_argument("--key", required=True)
    options = parser.parse_args()

    app = application(Issuer(options.issuer), options.audience, options.scope)
    config = uvicorn.Config(
        app, host="127.0.0.1", port=options.port, ssl_certfile=options.cert, ssl_keyfile=options.key, log_level="warning"
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    with config.bind_socket() as listener:
        print(json.dumps({"listening": f"https://localhost:{listener.getsockname()[1]}"}), flush=True)
        server.run([listener])


if __name__ == "__main__":
    main()
