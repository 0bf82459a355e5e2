"""Files that `svid watch` keeps: what is tainted, revoked or withdrawn does not stay in them."""

import json
import os

import jwt
import pytest

from harness.domain import default_binary
from harness.polling import eventually
from harness.process import Process
from stage.deployment import Deployment, uid_selector

WITHIN = 15
"""Seconds in which files follow. It is a matter of milliseconds; by their own schedule they would change in half an hour."""


@pytest.fixture(scope="module")
def domain():
    domain = Deployment("files.test", server=["-defaultJWTSVIDTTL", "1h"], agent=["-syncInterval", "1h"]).start()
    try:
        yield domain
    finally:
        domain.discard()


@pytest.fixture
def watch(domain, tmp_path):
    """A watch on the identity of a path, with tokens for two audiences; its directory."""
    started = []

    def start(path: str):
        folder = tmp_path / path.strip("/")
        started.append(
            Process(
                f"watch-{path.strip('/')}",
                [default_binary(), "svid", "watch", "-dir", folder, "-spiffeID", domain.id + path,
                 "-jwtAudience", "api", "-jwtAudience", "other", "-socketPath", domain.workload_socket],
                tmp_path,
            )
        )  # fmt: skip
        eventually(lambda: (folder / "jwt_svid.1.token").exists(), "files", within=20)
        return folder

    yield start
    for process in started:
        process.stop()
    domain.forget_entries()


def tokens(folder) -> list[str]:
    """Both at one moment."""
    state = os.open(folder / ".current", os.O_RDONLY | os.O_DIRECTORY)
    try:
        texts = []
        for name in ("jwt_svid.token", "jwt_svid.1.token"):
            with open(os.open(name, os.O_RDONLY, dir_fd=state)) as file:
                texts.append(file.read())
        return texts
    finally:
        os.close(state)


def kids(folder) -> set[str]:
    return {jwt.get_unverified_header(token)["kid"] for token in tokens(folder)}


def ids_of(folder) -> list[str]:
    return [jwt.decode(token, options={"verify_signature": False})["jti"] for token in tokens(folder)]


def keys_of_bundle(domain) -> set[str]:
    with domain.workload() as api:
        message = next(iter(api.jwt_bundles(timeout=5)))
    return {key["kid"] for key in json.loads(message.bundles[domain.id])["keys"]}


def turn_over(domain) -> tuple[str, str]:
    """A new JWT authority signs; the former one and it."""
    old = domain.cli_json("localauthority", "jwt", "show")["active"]["authority_id"]
    new = domain.cli_json("localauthority", "jwt", "prepare")["prepared_authority"]["authority_id"]
    domain.cli_json("localauthority", "jwt", "activate", "-authorityID", new)
    return old, new


def test_a_token_of_a_tainted_key_is_replaced_though_the_bundle_still_has_the_key(domain, watch):
    domain.entry("/app", [uid_selector()])
    domain.wait_for_ids("/app")
    folder = watch("/app")
    old, new = turn_over(domain)
    eventually(lambda: new in keys_of_bundle(domain), "the new key reaches the node", within=WITHIN)
    assert kids(folder) == {old}, "what is signed stays until it is tainted"
    domain.cli_json("localauthority", "jwt", "taint", "-authorityID", old)
    eventually(lambda: kids(folder) == {new}, "tokens of the new key", within=WITHIN)
    assert old in keys_of_bundle(domain)
    domain.cli_json("localauthority", "jwt", "revoke", "-authorityID", old)
    eventually(lambda: old not in keys_of_bundle(domain), "the old key leaves the bundle", within=WITHIN)
    assert kids(folder) == {new}


def test_a_token_of_a_revoked_key_is_replaced(domain, watch):
    domain.entry("/app", [uid_selector()])
    domain.wait_for_ids("/app")
    folder = watch("/app")
    old, new = turn_over(domain)
    assert kids(folder) == {old}
    domain.cli("revoke", "-key", old)
    eventually(lambda: kids(folder) == {new}, "tokens of the new key", within=WITHIN)


def test_a_token_whose_jti_is_revoked_is_replaced(domain, watch):
    domain.entry("/unique", [uid_selector()], additional_attributes={"jwt_svid_include_jti": True})
    domain.wait_for_ids("/unique")
    folder = watch("/unique")
    before = ids_of(folder)
    domain.cli("revoke", "-jti", before[0])
    eventually(lambda: before[0] not in ids_of(folder), "another token", within=WITHIN)
