"""A source as the operator sees it: whom it trusts, how it is fetched, and how it fares."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from otarium.domain import patterns
from otarium.domain.delegation import KEYS, PATTERNS, Delegation, SourceFile
from otarium.domain.errors import Invalid, Refusal, SourceUnreachable
from otarium.domain.keys import PublicKey
from otarium.domain.names import SourceName
from otarium.domain.packages import parse_uri, timestamp
from otarium.domain.publishers import PublisherKey, key_ids, parse_key
from otarium.domain.roles import Dialect

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
LONG_LIFE_SECONDS = 5 * 365 * 86_400
_FIRST_RETRY = 60
_ALLOWED_HEADER = ("authorization", "private-token")


class SourceState(StrEnum):
    FRESH = "fresh"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    DISABLED = "disabled"


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
    """Without tuf_uri: sign an Uptane-only list for clients of /tuf with a key of this repository."""
    enabled: bool = True

    @property
    def vouches(self) -> bool:
        """Where the publisher has a list for clients of /tuf itself, nothing is signed in its place."""
        return self.vouch and self.tuf_uri is None

    def __post_init__(self) -> None:
        for uri in (self.uri, self.tuf_uri, self.targets_uri):
            if uri is not None:
                parse_uri(uri)
        for uri in (self.uri, self.tuf_uri):
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
    def replaced(self) -> SourceFile | None:
        """The file whose place the next one takes, in whichever dialect that is, also from before a removal.
        None where a publisher has a list for each dialect."""
        if self.fetching.tuf_uri is not None:
            return None
        own = [file for file in self.files.values() if not file.vouched]
        newest = max(own, key=lambda file: (file.accepted_at, file.dialect is Dialect.UPTANE), default=None)
        return self.published or newest

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
            warnings.append(f"its list is in the Uptane dialect alone; {self._way_to_tuf}")
        for file in filter(None, map(self.live, Dialect)):
            if file.expires - file.accepted_at > LONG_LIFE_SECONDS and not file.vouched:
                until = f"its list in the dialect of /{file.dialect} is valid until {timestamp(file.expires)}"
                warnings.append(f"{until}: so long could whoever hosts it keep newer ones back")
        return warnings

    @property
    def _way_to_tuf(self) -> str:
        if self.fetching.tuf_uri is not None:
            return "the one for TUF clients was not taken over so far"
        if not self.fetching.vouch:
            return "set vouch to carry it for TUF clients"
        return (
            f"it is vouched for from version {self.vouched_from} on, since TUF clients saw "
            f"version {self.vouched_from - 1} of its publisher's own"
        )

    @property
    def vouched_from(self) -> int:
        """The lowest version that can be vouched for, above what clients of /tuf saw of its publisher."""
        last = self.files.get(Dialect.TUF)
        return 1 if last is None else last.version + (not last.vouched)

    def state(self, now: int) -> SourceState:
        if not self.fetching.enabled:
            return SourceState.DISABLED
        if self.expires is not None and self.expires <= now:
            return SourceState.EXPIRED
        if self.problem is not None:
            unreachable = self.problem.code == SourceUnreachable.code
            return SourceState.UNREACHABLE if unreachable else SourceState.REFUSED
        if self.published is None or self.expires is None:
            return SourceState.UNREACHABLE
        life = self.expires - self.published.accepted_at
        # Out of the delegations of /tuf is near to the end, however short its lists live.
        leaves_tuf = LEAVES_TUF_SECONDS if self.live(Dialect.TUF) else 0
        soon = self.expires - now <= max(min(EXPIRING_SECONDS, life // 4), leaves_tuf)
        return SourceState.EXPIRING if soon else SourceState.FRESH

    def after(self, refusal: Refusal | None, now: int, jitter: float) -> "Source":
        """How it fares after an attempt to refresh it, and when the next one is due."""
        failures = 0 if refusal is None else self.failures + 1
        problem = None
        if refusal is not None:
            same = self.problem is not None and self.problem.code == refusal.code
            since = self.problem.since if self.problem is not None and same else now
            problem = Problem(refusal.code, refusal.message, since)
        next_refresh = self.next_after(now, failures, jitter)
        return replace(
            self, attempts=self.attempts + 1, failures=failures, problem=problem, next_refresh=next_refresh
        )

    def next_after(self, now: int, failures: int, jitter: float) -> int:
        """When to refresh next: by schedule, sooner as expiry nears, backing off after failures.
        `jitter` is 0-1; it spreads the sources of many repositories over a tenth of the time."""
        wait = float(self.fetching.interval)
        if failures:
            wait = min(wait, _FIRST_RETRY * 2.0 ** min(failures - 1, 20))
        if self.expires is not None and (self.expires > now or not failures):
            wait = min(wait, max(SHORTEST_INTERVAL, (self.expires - now) / 8))
        return now + max(1, int(wait * (0.95 + jitter / 10)))


def parse_delegation(keys: object, stated: object) -> Delegation:
    """`keys` and `delegationMetadata` of a bundle. Raises Invalid."""
    if not isinstance(stated, dict):
        raise Invalid("delegationMetadata must be an object with name, keyids, paths and threshold.")
    name = stated.get("name")
    if not isinstance(name, str):
        raise Invalid("delegationMetadata has no name: give the name of the source as text.")
    name = SourceName.parse(name)
    trusted = _trusted_keys(keys, stated.get("keyids"))
    threshold = stated.get("threshold", 1)
    distinct = len({key.material for key in trusted.values()})
    if stated.get("keyids") is None and isinstance(keys, list) and threshold != 1:
        # Under several ids one key would meet any threshold at every client.
        raise Invalid(f"A threshold of {threshold!a:.20} needs keyids: state which key ids sign.")
    if type(threshold) is not int or not 1 <= threshold <= distinct:
        raise Invalid(f"The threshold {threshold!a:.20} must be 1-{distinct}, the number of distinct keys.")
    paths = stated.get("paths")
    if not isinstance(paths, list) or not 1 <= len(paths) <= PATTERNS:
        raise Invalid(f"paths must be a list of 1-{PATTERNS} patterns.")
    return Delegation(name, trusted, threshold, tuple(dict.fromkeys(map(patterns.parse, paths))))


def _trusted_keys(keys: object, stated: object) -> dict[str, PublisherKey]:
    """The keys named by `stated`; a list of keys is matched by recomputed ids."""
    if not isinstance(keys, dict | list) or not 1 <= len(keys) <= KEYS:
        raise Invalid(f"keys must be a list of 1-{KEYS} key objects.")
    if stated is None and isinstance(keys, list):
        return _every_id(keys)
    stated = list(keys) if stated is None else stated
    if (
        not isinstance(stated, list)
        or not 1 <= len(stated) <= KEYS
        or not all(isinstance(key_id, str) for key_id in stated)
    ):
        raise Invalid(f"keyids must be a list of 1-{KEYS} key ids.")
    if isinstance(keys, dict):
        by_id = {key_id: parse_key(key, key_id) for key_id, key in keys.items()}
    else:
        matching = [(key_id, key) for key_id in stated for key in keys if _is_id_of(key, key_id)]
        by_id = {key_id: parse_key(key, key_id) for key_id, key in matching}
    missing = [key_id for key_id in stated if key_id not in by_id]
    if missing:
        raise Invalid(f"The key id {missing[0]!a:.80} belongs to none of the keys; check the bundle.")
    return {key_id: by_id[key_id] for key_id in stated}


def _every_id(keys: list[Any]) -> dict[str, PublisherKey]:
    """Publishers' tools name one key in several ways; where no ids are stated, each of them is taken."""
    parsed = [(parse_key(key), key) for key in keys]
    ids = [(one, key_id) for one, key in parsed for key_id in key_ids(key)]
    return {key_id: replace(key, key_id=key_id) for key, key_id in ids}


def _is_id_of(key: object, key_id: str) -> bool:
    """Whether it is a hash of this key. Ids that are none cannot be told in a list: use an object of keys."""
    parse_key(key)
    return isinstance(key, dict) and key_id in key_ids(key)


def same_origin(one: str, other: str) -> bool:
    """Scheme, host and port: where secrets may go."""
    first, second = urlsplit(one), urlsplit(other)
    return (first.scheme, first.netloc.lower()) == (second.scheme, second.netloc.lower())


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
