"""Who may do what: one policy function for every kind of credential."""

from dataclasses import dataclass
from enum import StrEnum

from otarium.domain.errors import Forbidden, Invalid


class Scope(StrEnum):
    READ = "packages:read"
    WRITE = "packages:write"

    @classmethod
    def parse(cls, raw: str) -> "Scope":
        """`read:packages` and `write:packages`, as the hosted service spells them, mean the same."""
        verb, _, noun = raw.partition(":")
        for spelling in (raw, f"{noun}:{verb}"):
            if spelling in _SCOPES:
                return cls(spelling)
        raise Invalid(f"scope {raw[:60]!a} is unknown; known are {', '.join(sorted(_SCOPES))}.")


_SCOPES = frozenset(scope.value for scope in Scope)
DEFAULT_SCOPES = frozenset({Scope.READ, Scope.WRITE})


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever stands behind a valid credential; `name` goes into the audit journal."""

    name: str
    scopes: frozenset[Scope]

    def require(self, scope: Scope) -> None:
        """Raises Forbidden."""
        if scope not in self.scopes:
            raise Forbidden(f"This credential lacks the scope {scope}; use one that has it.")


@dataclass(frozen=True, slots=True)
class Credential:
    """A client or a token. `digest` is a keyed hash; the secret itself is never stored."""

    id: str
    name: str
    digest: bytes
    scopes: frozenset[Scope]
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    client_id: str | None = None
    """The client that an access token was issued to; it falls with the client."""
