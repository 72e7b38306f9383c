"""Credentials: API clients, bearer tokens, and the access tokens that clients exchange their secret for.

Secrets have 256 random bits, are shown once and stored as keyed hashes (HMAC-SHA-256 under a key derived
from the master key), so neither the database nor a backup of it lets anybody in.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from otarium.domain.access import DEFAULT_SCOPES, Actor, Credential, Scope
from otarium.domain.errors import Conflict, NotFound, Unauthenticated
from otarium.services.ports import Catalog, Clock

ACCESS_TOKEN_SECONDS = 3600
_PREFIX = "otarium"
_LONGEST = 512
_WRONG_CLIENT = "The client id or secret is wrong, or the client was revoked."


@dataclass(frozen=True, slots=True)
class Issued:
    """A new credential with its secret, for this one time."""

    credential: Credential
    secret: str


class Clients:
    """Methods block; call them from a worker thread."""

    def __init__(self, catalog: Catalog, clock: Clock, pepper: bytes) -> None:
        self._catalog = catalog
        self._clock = clock
        self._pepper = pepper

    def create_client(self, name: str, scopes: frozenset[Scope] = DEFAULT_SCOPES) -> Issued:
        secret = secrets.token_urlsafe(32)
        client = Credential(
            f"client-{secrets.token_hex(6)}", name, self._digest(secret), scopes, self._clock.now()
        )
        with self._catalog.write() as tx:
            tx.credentials.add_client(client)
            tx.journal.record(client.created_at, "operator", "client.create", client.id, name)
        return Issued(client, secret)

    def rotate_client(self, client_id: str) -> Issued:
        """A new secret; the old one and all access tokens got with it stop working."""
        secret, now = secrets.token_urlsafe(32), self._clock.now()
        with self._catalog.write() as tx:
            client = tx.credentials.client(client_id)
            if client is None or client.revoked_at is not None:
                raise NotFound(f"There is no active client {client_id}; see `otarium client list`.")
            tx.credentials.set_client_digest(client_id, self._digest(secret))
            tx.credentials.revoke_tokens_of(client_id, now)
            tx.journal.record(now, "operator", "client.rotate", client_id)
        return Issued(client, secret)

    def revoke_client(self, client_id: str) -> None:
        now = self._clock.now()
        with self._catalog.write() as tx:
            if tx.credentials.client(client_id) is None:
                raise NotFound(f"There is no client {client_id}; see `otarium client list`.")
            tx.credentials.revoke_client(client_id, now)
            tx.journal.record(now, "operator", "client.revoke", client_id)

    def clients(self) -> list[Credential]:
        with self._catalog.read() as tx:
            return list(tx.credentials.clients())

    def create_token(self, name: str, scopes: frozenset[Scope], lifetime: int) -> Issued:
        """A bearer token; `lifetime` in seconds."""
        return self._issue(name, scopes, lifetime, None)

    def revoke_token(self, token_id: str) -> None:
        """By id or by name."""
        now = self._clock.now()
        with self._catalog.write() as tx:
            ids = [
                token.id
                for token in tx.credentials.tokens()
                if token_id in (token.id, token.name) and self._is_active(token, now)
            ]
            if not ids:
                raise NotFound(f"There is no active token {token_id}; see `otarium token list`.")
            if len(ids) > 1:
                raise Conflict(f"{len(ids)} tokens are named {token_id}; revoke by id: {', '.join(ids)}.")
            tx.credentials.revoke_token(ids[0], now)
            tx.journal.record(now, "operator", "token.revoke", ids[0])

    def tokens(self) -> list[Credential]:
        with self._catalog.read() as tx:
            return list(tx.credentials.tokens())

    def authenticate_client(self, client_id: str, secret: str) -> Credential:
        """Raises Unauthenticated with one message for an unknown client and for a wrong secret."""
        with self._catalog.read() as tx:
            client = tx.credentials.client(client_id)
        expected = client.digest if client else b"\0" * 32
        matches = hmac.compare_digest(expected, self._digest(secret[:_LONGEST]))
        if client is None or not matches or client.revoked_at is not None:
            raise Unauthenticated(_WRONG_CLIENT)
        return client

    def issue_access_token(self, client: Credential, scopes: frozenset[Scope]) -> Issued:
        """Raises Unauthenticated when the client was revoked or rotated since it was authenticated."""
        return self._issue(client.name, scopes, ACCESS_TOKEN_SECONDS, client)

    def _issue(self, name: str, scopes: frozenset[Scope], lifetime: int, client: Credential | None) -> Issued:
        token_id, secret, now = secrets.token_hex(8), secrets.token_hex(32), self._clock.now()
        client_id = client.id if client else None
        token = Credential(token_id, name, self._digest(secret), scopes, now, now + lifetime, None, client_id)
        with self._catalog.write() as tx:
            if client is not None and tx.credentials.client(client.id) != client:
                raise Unauthenticated(_WRONG_CLIENT)
            tx.credentials.add_token(token)
            if client is None:
                tx.journal.record(now, "operator", "token.create", token_id, name)
        return Issued(token, f"{_PREFIX}_{token_id}_{secret}")

    def authenticate(self, bearer: str) -> Actor:
        """Raises Unauthenticated for anything but a valid token."""
        refused = Unauthenticated("The bearer token is unknown, expired or revoked; get a new one.")
        prefix, _, rest = bearer[:_LONGEST].partition("_")
        token_id, _, secret = rest.partition("_")
        if prefix != _PREFIX or not secret:
            raise refused
        with self._catalog.read() as tx:
            token = tx.credentials.token(token_id)
        expected = token.digest if token else b"\0" * 32
        matches = hmac.compare_digest(expected, self._digest(secret))
        if token is None or not matches or not self._is_active(token, self._clock.now()):
            raise refused
        return Actor(f"client:{token.client_id}" if token.client_id else f"token:{token.id}", token.scopes)

    @staticmethod
    def _is_active(token: Credential, now: int) -> bool:
        return token.revoked_at is None and (token.expires_at is None or now < token.expires_at)

    def _digest(self, secret: str) -> bytes:
        return hmac.new(self._pepper, b"credential-v1|" + secret.encode(), hashlib.sha256).digest()
