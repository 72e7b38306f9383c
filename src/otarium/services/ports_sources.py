"""The ports of external package sources: their rows, their fetcher, and who may fetch right now."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from otarium.domain.delegation import Accepted
from otarium.domain.external import LeftOut
from otarium.domain.keys import SealedKey
from otarium.domain.names import SourceName
from otarium.domain.roles import Dialect, SignedRole
from otarium.domain.sources import Source


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """One GET. `headers` have lower-case names; `etag` and `last_modified` are what came last time."""

    uri: str
    headers: Mapping[str, str]
    insecure: bool = False
    """Plain http, addresses that are not global, and any port are allowed."""
    redirects: bool = False
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """A body of at most 8 MiB; `etag` and `last_modified` as the publisher's server said them."""

    raw: bytes
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a source, byte for byte as its publisher (or the vouching role) made it."""

    signed: SignedRole
    modified_at: int


class SourceFetcher(Protocol):
    def fetch(self, request: FetchRequest) -> Fetched | None:
        """None when nothing changed (304). Raises SourceUnreachable."""
        ...


class Vault(Protocol):
    """Keeps small secrets at rest: encrypted, and bound to what they are for."""

    def seal(self, purpose: str, secret: bytes) -> bytes: ...
    def open(self, purpose: str, sealed: bytes) -> bytes:
        """Raises Broken when it was sealed for something else, or under another master key."""
        ...


class VouchKeys(Protocol):
    """Keys by which this repository vouches for a source in the dialect that its publisher lacks."""

    def generate(self, name: SourceName) -> SealedKey: ...
    def sign(self, key: SealedKey, payload: bytes) -> bytes: ...


class SourceLocks(Protocol):
    def held(self, name: SourceName) -> AbstractContextManager[None]:
        """One holder of the machine at a time; others wait."""
        ...


class Sources(Protocol):
    """Rows of sources; a removed one keeps its row, since its versions must never fall."""

    def get(self, name: SourceName) -> Source | None:
        """Also a removed one."""
        ...

    def every(self) -> Sequence[Source]:
        """In the operator's order, removed ones too."""
        ...

    def put(self, source: Source) -> None:
        """Add, or replace everything but its files."""
        ...

    def headers(self, name: SourceName) -> bytes | None:
        """The sealed request headers."""
        ...

    def set_headers(self, name: SourceName, sealed: bytes | None) -> None: ...
    def take_over(self, accepted: Accepted) -> None:
        """Make a file the newest of its source and dialect. The older ones stay for clients one behind."""
        ...

    def retire(self, source: Source, dialect: Dialect) -> Source:
        """A file that is fetched from nowhere any more is live no more; its snapshot line stays."""
        ...

    def list_packages(self, accepted: Accepted) -> None:
        """Let the source's packages be exactly those of the file."""
        ...

    def unlist_packages(self, name: SourceName) -> None: ...
    def left_out(self, name: SourceName) -> Sequence[LeftOut]:
        """The first hundred."""
        ...

    def file(self, name: SourceName, dialect: Dialect, version: int) -> StoredFile | None: ...
    def owned_like(self, patterns: Sequence[str], at_most: int) -> Sequence[str]:
        """Ids of own packages, live or deleted, that one of the patterns matches."""
        ...

    def validators(self, name: SourceName, uri: str) -> tuple[str | None, str | None]:
        """(etag, last_modified) of the last fetch of a URL."""
        ...

    def set_validators(
        self, name: SourceName, uri: str, etag: str | None, last_modified: str | None
    ) -> None: ...
