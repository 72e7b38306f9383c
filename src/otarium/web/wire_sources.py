"""The wire of external package sources: bundles and edits into domain values, and sources back."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from otarium.domain.errors import Invalid
from otarium.domain.names import SourceName
from otarium.domain.packages import timestamp
from otarium.domain.sources import DEFAULT_INTERVAL, Fetching, Source, parse_delegation
from otarium.services.sources import NewSource, Shown

Interval = Annotated[int, Meta(description="Seconds between two refreshes")]
Headers = Annotated[
    dict[str, str], Meta(description="Authorization, Private-Token or X-*; never shown again")
]


class DelegationInfoOut(msgspec.Struct, rename="camel"):
    last_fetched: str | None
    remote_uri: str | None
    friendly_name: str | None
    expires: str | None


def _when(seconds: int | None) -> str | None:
    return None if seconds is None else timestamp(seconds)


def info_out(source: Source) -> DelegationInfoOut:
    return DelegationInfoOut(
        last_fetched=_when(source.last_fetched),
        remote_uri=source.fetching.uri,
        friendly_name=source.fetching.friendly_name or None,
        expires=_when(source.expires),
    )


class SourceBody(msgspec.Struct, rename="camel"):
    """A published bundle `add-<name>.json`, with what the operator adds to it."""

    keys: Annotated[Any, Meta(description="A list of key objects, or an object of them by key id")]
    delegation_metadata: Annotated[
        dict[str, Any], Meta(description="name, keyids, paths, threshold; terminating is not taken over")
    ]
    fetch_url: Annotated[Any, Meta(description='Where the signed list is: a URL, or {"uri": URL}')]
    friendly_name: str | None = None
    tuf_fetch_url: str | None = None
    interval: Interval = DEFAULT_INTERVAL
    headers: Headers = {}
    insecure: bool = False
    follow_redirects: bool = False
    vouch: bool = False
    accept_overlap: bool = False

    def to_domain(self) -> NewSource:
        url = self.fetch_url.get("uri") if isinstance(self.fetch_url, dict) else self.fetch_url
        if not isinstance(url, str):
            raise Invalid("fetchUrl is missing: give the URL of the signed list.")
        delegation = parse_delegation(self.keys, self.delegation_metadata)
        fetching = Fetching(
            uri=url,
            tuf_uri=self.tuf_fetch_url,
            friendly_name=self.friendly_name or "",
            interval=self.interval,
            insecure=self.insecure,
            redirects=self.follow_redirects,
            vouch=self.vouch,
        )
        return NewSource(delegation, fetching, self.headers, self.accept_overlap)


class SourceEditBody(msgspec.Struct, rename="camel"):
    """PATCH: what is absent stays. Whom a source trusts never changes: remove it and add the new bundle."""

    fetch_url: str | UnsetType = UNSET
    tuf_fetch_url: str | UnsetType | None = UNSET
    friendly_name: str | UnsetType = UNSET
    interval: Interval | UnsetType = UNSET
    headers: Headers | UnsetType = UNSET
    insecure: bool | UnsetType = UNSET
    follow_redirects: bool | UnsetType = UNSET
    vouch: bool | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET

    def fields(self) -> dict[str, Any]:
        """Members of Fetching by name."""
        named = {"fetch_url": "uri", "tuf_fetch_url": "tuf_uri", "follow_redirects": "redirects"}
        values = {named.get(name, name): getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in values.items() if name != "headers" and value is not UNSET}


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


class LeftOutOut(msgspec.Struct):
    target: str
    reason: str


class SourceOut(msgspec.Struct, rename="camel"):
    """A source and how it fares; of its request headers the names alone."""

    name: str
    state: str
    problem: ProblemOut | None
    friendly_name: str | None
    fetch_url: str
    tuf_fetch_url: str | None
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


def source_out(shown: Shown, now: int) -> SourceOut:
    source, fetching = shown.source, shown.source.fetching
    problem = source.problem
    return SourceOut(
        name=str(source.name),
        state=source.state(now).value,
        problem=ProblemOut(problem.code, problem.message, timestamp(problem.since)) if problem else None,
        friendly_name=fetching.friendly_name or None,
        fetch_url=fetching.uri,
        tuf_fetch_url=fetching.tuf_uri,
        paths=list(source.delegation.paths),
        keyids=list(source.delegation.keys),
        threshold=source.delegation.threshold,
        enabled=fetching.enabled,
        insecure=fetching.insecure,
        follow_redirects=fetching.redirects,
        vouch=fetching.vouch,
        interval=fetching.interval,
        headers=list(source.header_names),
        last_fetched=_when(source.last_fetched),
        next_refresh=timestamp(source.next_refresh),
        expires=_when(source.expires),
        files=[
            SourceFileOut(
                file.dialect.name.lower(),
                file.version,
                file.sha256,
                file.length,
                timestamp(file.expires),
                file.vouched,
            )
            for file in source.files.values()
        ],
        left_out=[LeftOutOut(one.target, one.reason) for one in shown.left_out],
        warnings=source.warnings,
    )
