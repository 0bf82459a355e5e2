"""`entry create -data`: entries of a file, in both of SPIRE's shapes, and what is wrong with a file."""

import json

import pytest
from harness.domain import CommandFailed, start_server
from wire.admin import entry


@pytest.fixture(scope="module")
def other(server):
    """A second control plane of the same trust domain, as during a move."""
    domain = start_server(server.name)
    yield domain
    domain.discard()


def shown(domain) -> list[dict]:
    """Every entry as `entry show` prints it, without what the server sets."""
    entries = domain.cli_json("entry", "show")["entries"]
    for one in entries:
        for name in ("created_at", "revision_number"):
            one.pop(name)
        one["selectors"].sort(key=lambda selector: (selector["type"], selector["value"]))
    return sorted(entries, key=lambda one: one["id"])


def test_what_show_prints_is_what_create_reads(server, other, tmp_path):
    made = [
        server.admin.create_one(
            entry(
                server.id + "/moved/all", server.id + "/node", ["unix:uid:1", "k8s:ns:default"],
                x509_svid_ttl=600, jwt_svid_ttl=60, admin=True, downstream=True, expires_at=4_000_000_000,
                dns_names=["one.test"], store_svid=True, hint="internal",
            )
        ).id
    ]  # fmt: skip
    for start in range(0, 1200, 400):
        batch = [entry(server.id + f"/moved/{n}", server.id + "/node", [f"unix:uid:{n}"]) for n in range(start, start + 400)]
        made += [result.entry.id for result in server.admin.create(*batch)]
    try:
        printed = server.cli("entry", "show", "-output", "json").stdout
        file = tmp_path / "entries.json"
        file.write_text(printed)
        result = other.cli_json("entry", "create", "-data", file)
        assert [one["status"]["code"] for one in result["results"]] == [0] * 1201
        assert shown(other) == shown(server)

        again = other.cli("entry", "create", "-data", file, check=False)
        assert again.returncode == 1 and "1201 entries not made" in again.stderr
        assert len(shown(other)) == 1201
    finally:
        for start in range(0, len(made), 400):
            server.admin.delete(*made[start : start + 400])


def test_the_shape_of_spires_own_files(other, tmp_path):
    file = tmp_path / "entries.json"
    file.write_text(json.dumps({"entries": [{
        "entry_id": "by-hand", "spiffe_id": other.id + "/by-hand", "parent_id": other.id + "/node",
        "selectors": [{"type": "unix", "value": "uid:7"}], "ttl": 300, "entry_expiry": 4_000_000_000,
    }]}))  # fmt: skip
    other.cli("entry", "create", "-data", file)
    (one,) = other.cli_json("entry", "show", "-entryID", "by-hand")["entries"]
    assert one["spiffe_id"] == {"trust_domain": other.name, "path": "/by-hand"}
    assert (one["x509_svid_ttl"], one["jwt_svid_ttl"], one["expires_at"]) == (300, 300, "4000000000")


@pytest.mark.parametrize(
    "member, value",
    [
        ("spiffe_id", None),
        ("spiffe_id", {"trust_domain": "", "path": ""}),
        ("spiffe_id", {"trust_domain": "interop.test", "path": "no-slash"}),
        ("spiffe_id", {"trust_domain": 7}),
        ("spiffe_id", 7),
        ("expires_at", "soon"),
        ("expires_at", True),
        ("additional_attributes", []),
        ("additional_attributes", {"jwt_svid_include_jti": "yes"}),
        ("additional_attributes", {"unheard_of": True}),
        ("unheard_of", 1),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_made(other, tmp_path, member, value):
    good = {"spiffe_id": {"trust_domain": other.name, "path": "/good"}, "selectors": [{"type": "a", "value": "b"}]}
    file = tmp_path / "entries.json"
    file.write_text(json.dumps({"entries": [good, good | {member: value}]}))
    before = shown(other)
    with pytest.raises(CommandFailed) as failure:
        other.cli("entry", "create", "-data", file)
    assert failure.value.code == 1 and len(failure.value.stderr.splitlines()) == 1
    inner = next(iter(value)) if member == "additional_attributes" and value else member
    assert "entries[1]" in failure.value.stderr and inner in failure.value.stderr
    assert shown(other) == before
