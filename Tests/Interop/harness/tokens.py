"""The token service of a trust domain under test: its names, and agents, resources and grants made by command line."""

import json
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Sequence

import httpx

from harness.domain import TrustDomain
from harness.polling import eventually

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SVID_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"
AZURE_AUDIENCE = "api://AzureADTokenExchange"

OWNER = "owner@example.org"


@dataclass
class Agent:
    client_id: str
    spiffe_id: str
    name: str
    environment: dict = field(default_factory=dict)


class Tokens:
    """Objects stay until the trust domain ends: tests give theirs names of their own."""

    def __init__(self, domain: TrustDomain, roots: bytes | None = None):
        self.domain = domain
        port = domain.https.rpartition(":")[2]
        self.base = f"https://localhost:{port}"
        """What everything is below; also AZURE_AUTHORITY_HOST."""
        self.roots = domain.folder / "roots.pem"
        self.roots.write_bytes(roots or domain.roots_pem)
        self.context = ssl.create_default_context(cafile=self.roots)
        self.issuer = f"{self.base}/oauth2"
        self.entra_issuer = f"{self.base}/{domain.name}/v2.0"
        self.endpoint = f"{self.issuer}/token"
        self.entra_endpoint = f"{self.base}/{domain.name}/oauth2/v2.0/token"
        # RSA keys take their time after the first start.
        with self.web() as web:
            keys = f"/{domain.name}/discovery/v2.0/keys"
            eventually(lambda: web.get(keys).status_code == 200, "the token service has all its keys", within=30)

    # The directory

    def agent(self, name: str, *more: str) -> Agent:
        """An agent `name` whose SVIDs say `/name`."""
        made = self.domain.cli_json(
            "identity", "create", "-name", name, "-spiffeID", f"{self.domain.id}/{name}",
            "-owner", OWNER, "-sponsor", OWNER, *more,
        )  # fmt: skip
        return Agent(made["clientId"], made["spiffeId"], name, made["environment"])

    def resource(self, id: str, *scopes: str, **settings: str) -> str:
        """`profile`, `tokenTTL`, `binding` and `agent` are the flags of `resource create`."""
        flags = [part for scope in scopes for part in ("-scope", scope)]
        flags += [part for name, value in settings.items() for part in (f"-{name}", value)]
        return self.domain.cli_json("resource", "create", "-id", id, *flags)["id"]

    def grant(self, agent: Agent, resource: str, *scopes: str, use: str = "own") -> None:
        flags = [part for scope in scopes for part in ("-scope", scope)]
        self.domain.cli("grant", "create", "-agent", agent.client_id, "-resource", resource, "-use", use, *flags)

    def secret(self, agent: Agent) -> str:
        return self.domain.cli_json("client-credential", "create", "-id", agent.client_id, "-secret")["secret"]

    def register(self, agent: Agent, flag: str, path: Path) -> None:
        """Registers the key or certificate of a file: `-key` or `-certificate`."""
        self.domain.cli("client-credential", "create", "-id", agent.client_id, flag, path)

    def federate(self, agent: Agent, **parameters: object) -> None:
        """A federated credential, in the words of `az ad app federated-credential create --parameters`.

        The issuer is that of the trust domain's JWT-SVIDs if it was started with `-jwtIssuer` and the base URL.
        """
        whole = {
            "name": f"{agent.name}-credential", "issuer": self.base, "subject": agent.spiffe_id,
            "audiences": [AZURE_AUDIENCE], **parameters,
        }  # fmt: skip
        self.domain.cli("federated-credential", "create", "-id", agent.client_id, "-parameters", json.dumps(whole))

    # Credentials

    def jwt_svid(self, agent: Agent, audience: str | Sequence[str], ttl: str = "1h") -> str:
        """A JWT-SVID of the agent, minted by the control plane."""
        audiences = [audience] if isinstance(audience, str) else audience
        flags = [part for one in audiences for part in ("-audience", one)]
        return self.domain.cli_json("jwt", "mint", "-spiffeID", agent.spiffe_id, "-ttl", ttl, *flags)["svid"]["token"]

    def x509_svid(self, agent: Agent, folder: Path, ttl: str = "10m") -> tuple[Path, Path]:
        """Certificate chain and key of the agent in two files."""
        self.domain.cli("x509", "mint", "-spiffeID", agent.spiffe_id, "-ttl", ttl, "-write", folder)
        return folder / "svid.pem", folder / "key.pem"

    # The wire

    def web(self, identity: tuple[Path, Path] | None = None, **options) -> httpx.Client:
        """HTTP with the trust domain's roots, and with a client certificate where one is given."""
        context = self.context
        if identity is not None:
            context = ssl.create_default_context(cafile=self.roots)
            context.load_cert_chain(*identity)
        return httpx.Client(verify=context, base_url=self.base, trust_env=False, **options)

    def refusals(self) -> list[dict]:
        """Every refusal of a token in the audit log."""
        return self.log("access_token.refuse")

    def log(self, kind: str) -> list[dict]:
        """The events of a type in the audit log, the oldest first."""
        entries = self.domain.cli_json("log", "list", "-type", kind, "-count", "100000")["entries"]
        return [entry["event"] for entry in entries]
