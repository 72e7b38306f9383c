"""A source as the operator sees it: whom it trusts, how it is fetched, and how it fares.

Here is also what our own targets role says about sources: the delegations of each dialect. A source is
delegated to only while there is a file of it in that dialect, so one without content disturbs nobody.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from otarium.domain import patterns
from otarium.domain.delegation import KEYS, PATTERNS, Delegation, SourceFile
from otarium.domain.errors import Invalid, SourceUnreachable
from otarium.domain.keys import PublicKey
from otarium.domain.names import SourceName
from otarium.domain.packages import parse_uri
from otarium.domain.publishers import PublisherKey, key_ids, parse_key
from otarium.domain.release import Others
from otarium.domain.roles import Dialect, Line

SOURCES = 30
"""Clients visit at most 32 delegated roles for one target, this repository's own among them."""
FRIENDLY_NAME_CHARACTERS = 80
URL_CHARACTERS = 2048
DEFAULT_INTERVAL = 3600
SHORTEST_INTERVAL = 60
LONGEST_INTERVAL = 7 * 86_400
LEAVES_TUF_SECONDS = 3600
"""How long before it expires a source leaves the delegations of /tuf: TUF clients stop at an expired role."""
EXPIRING_SECONDS = 7 * 86_400
_FIRST_RETRY = 60
_ALLOWED_HEADER = ("authorization", "private-token")


class SourceState(StrEnum):
    FRESH = "fresh"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the last refresh failed, and since when refreshes fail for this reason."""

    code: str
    message: str
    since: int


@dataclass(frozen=True, slots=True)
class Fetching:
    """Where a publisher's files are and how they may be fetched; what `source edit` changes."""

    uri: str
    tuf_uri: str | None = None
    """The same list in the TUF 1.0 dialect, where a publisher has both."""
    targets_uri: str | None = None
    """Where the bytes of packages lie whose entry names no place; their name is put behind it."""
    friendly_name: str = ""
    interval: int = DEFAULT_INTERVAL
    insecure: bool = False
    """Plain http, private addresses and any port are allowed."""
    redirects: bool = False
    vouch: bool = False
    """Sign an Uptane-only list for clients of /tuf with a key of this repository."""
    enabled: bool = True

    def __post_init__(self) -> None:
        if self.targets_uri is not None:
            parse_uri(self.targets_uri)
        for uri in (self.uri, self.tuf_uri):
            if uri is not None and not (
                uri.startswith(("https://", "http://")) and len(uri) <= URL_CHARACTERS
            ):
                raise Invalid(f"The fetch URL {uri[:80]!a} must start with https:// and have a host.")
            if uri is not None and uri.startswith("http://") and not self.insecure:
                raise Invalid(
                    f"The fetch URL {uri[:80]!a} is not https; anybody on the way could withhold updates. "
                    "Use https, or allow it for this source with insecure."
                )
        if len(self.friendly_name) > FRIENDLY_NAME_CHARACTERS or not self.friendly_name.isprintable():
            raise Invalid(f"A friendly name has at most {FRIENDLY_NAME_CHARACTERS} printable characters.")
        if not SHORTEST_INTERVAL <= self.interval <= LONGEST_INTERVAL:
            raise Invalid(f"The interval must be {SHORTEST_INTERVAL}-{LONGEST_INTERVAL} seconds.")


@dataclass(frozen=True, slots=True)
class Source:
    """Times are whole seconds since 1970. `files` are the last accepted ones, also after a removal."""

    delegation: Delegation
    fetching: Fetching
    position: int
    added_at: int
    header_names: tuple[str, ...] = ()
    removed_at: int | None = None
    attempts: int = 0
    failures: int = 0
    last_fetched: int | None = None
    next_refresh: int = 0
    problem: Problem | None = None
    files: Mapping[Dialect, SourceFile] = field(default_factory=dict)
    vouch_key: PublicKey | None = None

    @property
    def name(self) -> SourceName:
        return self.delegation.name

    @property
    def active(self) -> bool:
        return self.removed_at is None and self.fetching.enabled

    def live(self, dialect: Dialect) -> SourceFile | None:
        """The file that devices are sent to. One from before the source was added again is none: other keys
        signed it."""
        file = self.files.get(dialect)
        if file is None or not self.active or file.accepted_at < self.added_at:
            return None
        return None if file.vouched and not self.fetching.vouch else file

    @property
    def published(self) -> SourceFile | None:
        """The publisher's own file whose packages are listed: the Uptane one where there are both."""
        for dialect in (Dialect.UPTANE, Dialect.TUF):
            file = self.live(dialect)
            if file is not None and not file.vouched:
                return file
        return None

    @property
    def expires(self) -> int | None:
        live = filter(None, map(self.live, Dialect))
        return min((file.expires for file in live), default=None)

    @property
    def warnings(self) -> list[str]:
        """What its operator should know: where devices and TUF 1.0 clients may see different packages, and
        whom a file does not reach."""
        told = {pattern: patterns.ambiguity(pattern) for pattern in self.delegation.paths}
        warnings = [f"the path {pattern!r}: {why}" for pattern, why in told.items() if why]
        if self.published is not None and self.live(Dialect.UPTANE) is None:
            warnings.append("its list is in the TUF 1.0 dialect alone, which Uptane devices cannot verify")
        if self.published is not None and self.live(Dialect.TUF) is None:
            warnings.append("its list is in the Uptane dialect alone; set vouch to carry it for TUF clients")
        return warnings

    def state(self, now: int) -> SourceState:
        if self.expires is not None and self.expires <= now:
            return SourceState.EXPIRED
        if self.problem is not None:
            unreachable = self.problem.code == SourceUnreachable.code
            return SourceState.UNREACHABLE if unreachable else SourceState.REFUSED
        if self.published is None or self.expires is None:
            return SourceState.UNREACHABLE
        life = self.expires - self.published.accepted_at
        soon = self.expires - now <= min(EXPIRING_SECONDS, life // 4)
        return SourceState.EXPIRING if soon else SourceState.FRESH

    def next_after(self, now: int, failures: int, jitter: float) -> int:
        """When to refresh next: by schedule, sooner as expiry nears, backing off after failures.
        `jitter` is 0-1; it spreads the sources of many repositories over a tenth of the time."""
        wait = float(self.fetching.interval)
        if failures:
            wait = min(wait, _FIRST_RETRY * 2.0 ** min(failures - 1, 20))
        elif self.expires is not None:
            wait = min(wait, max(SHORTEST_INTERVAL, (self.expires - now) / 8))
        return now + max(1, int(wait * (0.95 + jitter / 10)))


def parse_delegation(keys: object, stated: object) -> Delegation:
    """`keys` and `delegationMetadata` of a bundle. Raises Invalid."""
    if not isinstance(stated, dict):
        raise Invalid("delegationMetadata must be an object with name, keyids, paths and threshold.")
    name = SourceName.parse(str(stated.get("name", "")))
    trusted = _trusted_keys(keys, stated.get("keyids"))
    threshold = stated.get("threshold", 1)
    distinct = len({key.material for key in trusted.values()})
    if type(threshold) is not int or not 1 <= threshold <= distinct:
        raise Invalid(f"The threshold {threshold!a:.20} must be 1-{distinct}, the number of distinct keys.")
    paths = stated.get("paths")
    if not isinstance(paths, list) or not 1 <= len(paths) <= PATTERNS:
        raise Invalid(f"paths must be a list of 1-{PATTERNS} patterns.")
    return Delegation(name, trusted, threshold, tuple(dict.fromkeys(map(patterns.parse, paths))))


def _trusted_keys(keys: object, stated: object) -> dict[str, PublisherKey]:
    """The keys named by `stated`, all of `keys` where none are. A list is matched by recomputed ids."""
    if isinstance(keys, dict):
        by_id = {key_id: parse_key(key, key_id) for key_id, key in list(keys.items())[: KEYS + 1]}
        wanted = stated if isinstance(stated, list) else list(by_id)
    elif isinstance(keys, list):
        wanted = stated if isinstance(stated, list) else [parse_key(key).key_id for key in keys[: KEYS + 1]]
        by_id = {}
        for key_id in wanted[:KEYS]:
            for key in keys[: KEYS + 1]:
                if isinstance(key_id, str) and _is_id_of(key, key_id):
                    by_id[key_id] = parse_key(key, key_id)
    else:
        raise Invalid("keys must be a list of key objects.")
    if not 1 <= len(wanted) <= KEYS:
        raise Invalid(f"1-{KEYS} keyids are taken, {len(wanted)} were given.")
    missing = [key_id for key_id in wanted if key_id not in by_id]
    if missing:
        raise Invalid(f"The key id {missing[0]!a:.80} belongs to none of the keys; check the bundle.")
    return {key_id: by_id[key_id] for key_id in wanted}


def _is_id_of(key: object, key_id: str) -> bool:
    """Whether it is a hash of this key. Ids that are none cannot be told in a list: use an object of keys."""
    parse_key(key)
    return isinstance(key, dict) and key_id in key_ids(key, key["keyval"]["public"])


def parse_headers(stated: Mapping[str, Any]) -> dict[str, str]:
    """Request headers of a private feed: Authorization, Private-Token, X-*. Raises Invalid."""
    made: dict[str, str] = {}
    for name, value in stated.items():
        allowed = name.lower() in _ALLOWED_HEADER or name.lower().startswith("x-")
        if not allowed or not name.isascii() or not name.replace("-", "").isalnum():
            raise Invalid(
                f"The header {name[:40]!a} may not be sent; use Authorization, Private-Token or X-*."
            )
        if not isinstance(value, str) or not value.isascii() or not value.isprintable() or len(value) > 4096:
            raise Invalid(f"The value of the header {name[:40]!a} must be printable ASCII text.")
        made[name.lower()] = value
    return made


def delegations(sources: Iterable[Source], dialect: Dialect, now: int) -> dict[str, Any] | None:
    """The `delegations` member of our targets role, in the operator's order; None without any."""
    keys: dict[str, Any] = {}
    roles = []
    for source in sources:
        file = source.live(dialect)
        if file is None or not is_delegated(file, now):
            continue
        signers, threshold = _signers(source, file)
        keys |= {key_id: key for key_id, key in signers.items()}
        roles.append(
            {
                "keyids": list(signers),
                "name": str(source.name),
                "paths": list(source.delegation.paths),
                "terminating": False,
                "threshold": threshold,
            }
        )
    return {"keys": keys, "roles": roles} if roles else None


def _signers(source: Source, file: SourceFile) -> tuple[dict[str, Any], int]:
    if file.vouched and source.vouch_key is not None:
        return {source.vouch_key.key_id: source.vouch_key.to_object()}, 1
    usable = {
        key_id: key.to_object()
        for key_id, key in source.delegation.keys.items()
        if key.usable_in(file.dialect)
    }
    return usable, source.delegation.threshold


def is_delegated(file: SourceFile, now: int) -> bool:
    """aktualizr skips an expired file by itself; a TUF client would stop, so there it leaves in time."""
    return file.dialect is Dialect.UPTANE or file.expires - LEAVES_TUF_SECONDS > now


def leaves_tuf_between(sources: Sequence[Source], since: int, now: int) -> bool:
    """Whether a source of /tuf came too near to its expiry after `since`."""
    return any(
        is_delegated(file, since) != is_delegated(file, now)
        for source in sources
        if (file := source.live(Dialect.TUF)) is not None
    )


def lines(sources: Iterable[Source], dialect: Dialect) -> dict[str, Line]:
    """The snapshot lines of all files ever accepted, also of removed sources: a name that vanished from
    the snapshot would stop clients for ever."""
    return {
        str(source.name): Line(file.listed_sha256, file.length, file.version)
        for source in sources
        if (file := source.files.get(dialect)) is not None
    }


def others(sources: Sequence[Source], now: int) -> Others:
    """What a release says of sources."""
    return Others(
        {dialect: delegations(sources, dialect, now) for dialect in Dialect},
        {dialect: lines(sources, dialect) for dialect in Dialect},
    )
