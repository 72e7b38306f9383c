"""Credentials: shown once, stored as hashes, dead as soon as they are revoked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from otarium.domain.access import DEFAULT_SCOPES, Actor, Scope
from otarium.domain.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from otarium.services.clients import Clients
from repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    made = Repository(tmp_path)
    yield made
    made.close()


@pytest.fixture
def clients(repository: Repository) -> Clients:
    return repository.opened.clients


def test_a_client_trades_its_secret_for_a_token_that_expires(
    repository: Repository, clients: Clients
) -> None:
    issued = clients.create_client("ci")
    client = clients.authenticate_client(issued.credential.id, issued.secret)
    token = clients.issue_access_token(client, frozenset({Scope.READ}))
    assert clients.authenticate(token.secret).scopes == {Scope.READ}
    repository.clock.time += 3600
    with pytest.raises(Unauthenticated):
        clients.authenticate(token.secret)


def test_a_wrong_secret_and_an_unknown_client_are_refused_alike(clients: Clients) -> None:
    issued = clients.create_client("ci")
    messages = set()
    for client_id, secret in ((issued.credential.id, "wrong"), ("client-nobody", issued.secret), ("", "")):
        with pytest.raises(Unauthenticated) as refusal:
            clients.authenticate_client(client_id, secret)
        messages.add(refusal.value.message)
    assert len(messages) == 1


@pytest.mark.parametrize("shut", ["revoke_client", "rotate_client"])
def test_a_client_shut_out_between_its_two_steps_gets_no_token(clients: Clients, shut: str) -> None:
    issued = clients.create_client("ci")
    client = clients.authenticate_client(issued.credential.id, issued.secret)
    earlier = clients.issue_access_token(client, DEFAULT_SCOPES)
    getattr(clients, shut)(client.id)
    with pytest.raises(Unauthenticated):
        clients.issue_access_token(client, DEFAULT_SCOPES)
    with pytest.raises(Unauthenticated):
        clients.authenticate(earlier.secret)
    with pytest.raises(Unauthenticated):
        clients.authenticate_client(client.id, issued.secret)


def test_a_rotated_secret_works(clients: Clients) -> None:
    issued = clients.create_client("ci")
    rotated = clients.rotate_client(issued.credential.id)
    assert clients.authenticate_client(issued.credential.id, rotated.secret).name == "ci"
    with pytest.raises(NotFound):
        clients.rotate_client("client-nobody")


def test_tokens_are_revoked_by_id_or_by_a_name_that_is_unique(clients: Clients) -> None:
    one, two = (clients.create_token("laptop", DEFAULT_SCOPES, 60) for _ in range(2))
    with pytest.raises(Conflict, match="revoke by id"):
        clients.revoke_token("laptop")
    clients.revoke_token(one.credential.id)
    with pytest.raises(Unauthenticated):
        clients.authenticate(one.secret)
    assert clients.authenticate(two.secret)
    with pytest.raises(NotFound):
        clients.revoke_token("nobody")


@pytest.mark.parametrize("bearer", ["", "x", "otarium_", "otarium__", "otarium_a_b", "otarium_" + "9" * 9999])
def test_nonsense_is_no_token(clients: Clients, bearer: str) -> None:
    with pytest.raises(Unauthenticated):
        clients.authenticate(bearer)


def test_no_secret_is_stored(repository: Repository, clients: Clients, tmp_path: Path) -> None:
    secrets = [clients.create_client("ci").secret, clients.create_token("t", DEFAULT_SCOPES, 60).secret]
    repository.opened.catalog.checkpoint()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("catalog.sqlite*"))
    for secret in secrets:
        assert secret.rpartition("_")[2].encode() not in stored


def test_scopes_have_two_spellings_and_bind() -> None:
    assert Scope.parse("read:packages") is Scope.parse("packages:read") is Scope.READ
    with pytest.raises(Invalid):
        Scope.parse("write:updates")
    with pytest.raises(Forbidden, match="packages:write"):
        Actor("x", frozenset({Scope.READ})).require(Scope.WRITE)
