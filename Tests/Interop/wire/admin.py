"""Administration over the admin Unix socket: the services of SPIRE's server API without TLS."""

from typing import Iterable, Optional

import grpc

from wire import messages as m
from wire.keys import selector, spiffe_id


class Admin:
    """Typed stubs over one channel, and the few calls that many tests make."""

    def __init__(self, socket_path: str):
        self.channel = grpc.insecure_channel(
            f"unix:{socket_path}", options=[("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        )
        self.agents = m.agent_grpc.AgentStub(self.channel)
        self.entries = m.entry_grpc.EntryStub(self.channel)
        self.svids = m.svid_grpc.SVIDStub(self.channel)
        self.bundles = m.bundle_grpc.BundleStub(self.channel)
        self.trust_domains = m.trustdomain_grpc.TrustDomainStub(self.channel)
        self.health = m.health_grpc.HealthStub(self.channel)

    def close(self) -> None:
        self.channel.close()

    def join_token(self, ttl: int = 600, agent_id: Optional[str] = None) -> str:
        request = m.agent.CreateJoinTokenRequest(ttl=ttl)
        if agent_id:
            request.agent_id.CopyFrom(spiffe_id(agent_id))
        return self.agents.CreateJoinToken(request, timeout=20).value

    def create(self, *entries):
        """Creates entries and returns the results in order."""
        return list(self.entries.BatchCreateEntry(m.entry.BatchCreateEntryRequest(entries=entries), timeout=60).results)

    def create_one(self, entry):
        """Creates one entry and returns it; anything but OK is an error of the test."""
        (result,) = self.create(entry)
        assert result.status.code == 0, f"entry create: {result.status.code} {result.status.message}"
        return result.entry

    def delete(self, *ids: str):
        return list(self.entries.BatchDeleteEntry(m.entry.BatchDeleteEntryRequest(ids=ids), timeout=60).results)

    def ban(self, agent_id: str) -> None:
        self.agents.BanAgent(m.agent.BanAgentRequest(id=spiffe_id(agent_id)), timeout=20)

    def evict(self, agent_id: str) -> None:
        self.agents.DeleteAgent(m.agent.DeleteAgentRequest(id=spiffe_id(agent_id)), timeout=20)

    def list_entries(self, page_size: int = 0, **filters):
        """Every page of ListEntries, joined; `filters` are the fields of the filter."""
        found, token, pages = [], "", 0
        while True:
            reply = self.entries.ListEntries(
                m.entry.ListEntriesRequest(
                    filter=m.entry.ListEntriesRequest.Filter(**filters), page_size=page_size, page_token=token
                ),
                timeout=60,
            )
            found.extend(reply.entries)
            pages += 1
            assert pages < 10_000, "ListEntries never ends"
            token = reply.next_page_token
            if not token:
                return found


def entry(id: str, parent: str, selectors: Iterable[str], **fields):
    """A registration entry from texts; `fields` are further fields of the message."""
    return m.types.Entry(
        spiffe_id=spiffe_id(id), parent_id=spiffe_id(parent), selectors=[selector(s) for s in selectors], **fields
    )
