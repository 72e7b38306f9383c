"""The wire of external package sources: the published names, from which the OpenAPI document is made."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from otarium.domain.names import SourceName
from otarium.domain.sources import DEFAULT_INTERVAL, SourceState
from otarium.services.source_documents import MEMBER_OF, new_source
from otarium.services.sources import NewSource

Interval = Annotated[int, Meta(description="Seconds between two refreshes")]
Headers = Annotated[
    dict[str, str], Meta(description="Authorization, Private-Token or X-*; never shown again")
]


class DelegationInfoOut(msgspec.Struct, rename="camel"):
    last_fetched: str | None
    remote_uri: str | None
    friendly_name: str | None
    expires: str | None


class SourceBody(msgspec.Struct, rename="camel"):
    """A published bundle `add-<name>.json`, with what the operator adds to it."""

    keys: Annotated[Any, Meta(description="A list of key objects, or an object of them by key id")]
    delegation_metadata: Annotated[
        dict[str, Any], Meta(description="name, keyids, paths, threshold; terminating is not taken over")
    ]
    fetch_url: Annotated[Any, Meta(description='Where the signed list is: a URL, or {"uri": URL}')]
    friendly_name: str | None = None
    tuf_fetch_url: str | None = None
    targets_url: str | None = None
    interval: Interval = DEFAULT_INTERVAL
    headers: Headers = {}
    insecure: bool = False
    follow_redirects: bool = False
    vouch: bool = False
    accept_overlap: bool = False

    def to_domain(self) -> NewSource:
        return new_source(msgspec.to_builtins(self))


class SourceEditBody(msgspec.Struct, rename="camel"):
    """PATCH: what is absent stays. Whom a source trusts never changes: remove it and add the new bundle."""

    fetch_url: str | UnsetType = UNSET
    tuf_fetch_url: str | UnsetType | None = UNSET
    targets_url: str | UnsetType | None = UNSET
    friendly_name: str | UnsetType = UNSET
    interval: Interval | UnsetType = UNSET
    headers: Headers | UnsetType = UNSET
    insecure: bool | UnsetType = UNSET
    follow_redirects: bool | UnsetType = UNSET
    vouch: bool | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET

    def fields(self) -> dict[str, Any]:
        """Members of Fetching by name."""
        given = msgspec.to_builtins(self)
        return {name: given[member] for name, member in MEMBER_OF.items() if member in given}


class SourceOrderBody(msgspec.Struct):
    """All sources, in the order in which devices search them."""

    names: list[str]

    def to_domain(self) -> list[SourceName]:
        return [SourceName.lookup(name) for name in self.names]


class ProblemOut(msgspec.Struct):
    code: str
    message: str
    since: str


class SourceFileOut(msgspec.Struct):
    dialect: str
    version: int
    sha256: str
    length: int
    expires: str
    vouched: bool
    live: Annotated[bool, Meta(description="Whether clients are sent to it")]


class LeftOutOut(msgspec.Struct):
    target: str
    reason: str


class SourceOut(msgspec.Struct, rename="camel"):
    """A source and how it fares; of its request headers the names alone."""

    name: str
    state: SourceState
    problem: ProblemOut | None
    friendly_name: str | None
    fetch_url: str
    tuf_fetch_url: str | None
    targets_url: str | None
    paths: list[str]
    keyids: list[str]
    threshold: int
    enabled: bool
    insecure: bool
    follow_redirects: bool
    vouch: bool
    interval: int
    headers: list[str]
    last_fetched: str | None
    next_refresh: str
    expires: str | None
    files: list[SourceFileOut]
    left_out: list[LeftOutOut]
    warnings: list[str]


class SourcesOut(msgspec.Struct):
    values: list[SourceOut]


class BundleQuery(msgspec.Struct):
    """GET /bundle: what others are to call this repository, and the names that it may publish there."""

    name: str = "otarium"
    path: list[str] = []


class BundleOut(msgspec.Struct, rename="camel"):
    """A published bundle."""

    keys: list[dict[str, Any]]
    delegation_metadata: dict[str, Any]
    fetch_url: str
    tuf_fetch_url: str
    targets_url: str
    friendly_name: str
