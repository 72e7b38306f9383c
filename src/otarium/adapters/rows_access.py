"""Rows of credentials, keys and the journal."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from otarium.adapters import tables
from otarium.adapters.quick import Quick
from otarium.domain.access import Credential, Scope
from otarium.domain.keys import SealedKey

_C = tables.clients
_T = tables.tokens
_RECORD = Quick(
    insert(tables.journal)
    .inline()
    .values({name: bindparam(name) for name in ("at", "actor", "action", "subject", "detail")})
)
_TOKEN = select(_T).where(_T.c.id == bindparam("id"))


class CredentialRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add_client(self, client: Credential) -> None:
        self._connection.execute(insert(_C).values(**_values(client)))

    def client(self, client_id: str) -> Credential | None:
        row = self._connection.execute(select(_C).where(_C.c.id == client_id)).first()
        return _credential(row) if row else None

    def clients(self) -> Sequence[Credential]:
        rows = self._connection.execute(select(_C).order_by(_C.c.created_at, _C.c.id))
        return [_credential(row) for row in rows]

    def set_client_digest(self, client_id: str, digest: bytes) -> None:
        self._connection.execute(update(_C).where(_C.c.id == client_id).values(digest=digest))

    def revoke_client(self, client_id: str, at: int) -> None:
        active = (_C.c.id == client_id, _C.c.revoked_at.is_(None))
        self._connection.execute(update(_C).where(*active).values(revoked_at=at))
        self.revoke_tokens_of(client_id, at)

    def add_token(self, token: Credential) -> None:
        extra = {"expires_at": token.expires_at, "client_id": token.client_id}
        self._connection.execute(insert(_T).values(**_values(token), **extra))

    def token(self, token_id: str) -> Credential | None:
        row = self._connection.execute(_TOKEN, {"id": token_id}).first()
        return _credential(row) if row else None

    def tokens(self) -> Sequence[Credential]:
        made_by_people = select(_T).where(_T.c.client_id.is_(None)).order_by(_T.c.created_at, _T.c.id)
        return [_credential(row) for row in self._connection.execute(made_by_people)]

    def revoke_token(self, token_id: str, at: int) -> None:
        active = (_T.c.id == token_id, _T.c.revoked_at.is_(None))
        self._connection.execute(update(_T).where(*active).values(revoked_at=at))

    def revoke_tokens_of(self, client_id: str, at: int) -> None:
        active = (_T.c.client_id == client_id, _T.c.revoked_at.is_(None))
        self._connection.execute(update(_T).where(*active).values(revoked_at=at))

    def drop_expired(self, before: int) -> None:
        issued = _T.c.client_id.is_not(None)
        self._connection.execute(delete(_T).where(issued, _T.c.expires_at < before))


def _values(credential: Credential) -> dict[str, Any]:
    return {
        "id": credential.id,
        "name": credential.name,
        "digest": credential.digest,
        "scopes": " ".join(sorted(credential.scopes)),
        "created_at": credential.created_at,
    }


def _credential(row: Row[Any]) -> Credential:
    return Credential(
        id=row.id,
        name=row.name,
        digest=row.digest,
        scopes=frozenset(map(Scope, row.scopes.split())),
        created_at=row.created_at,
        expires_at=getattr(row, "expires_at", None),
        revoked_at=row.revoked_at,
        client_id=getattr(row, "client_id", None),
    )


class KeyTable:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, key: SealedKey, at: int) -> None:
        values = {"role": key.role, "key_id": key.key_id, "public": key.public, "sealed": key.sealed}
        self._connection.execute(insert(tables.keys).values(**values, created_at=at))

    def every(self) -> Sequence[SealedKey]:
        rows = self._connection.execute(select(tables.keys).order_by(tables.keys.c.role))
        return [SealedKey(row.role, row.key_id, row.public, row.sealed) for row in rows]


class JournalRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def record(self, at: int, actor: str, action: str, subject: str, detail: str = "") -> None:
        _RECORD.run(self._connection, at=at, actor=actor, action=action, subject=subject, detail=detail)

    def last(self, action: str) -> int | None:
        newest = select(func.max(tables.journal.c.at)).where(tables.journal.c.action == action)
        return self._connection.execute(newest).scalar()
