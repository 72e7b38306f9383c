"""A release: one consistent set of signed files, built as a value and published as a whole.

Versions, expiry and chaining are decided here and nowhere else:

- every file of the targets key takes its version from one repository-wide counter (`Counters.targets`):
  the role name is not in the signed part, so two shelves with one version could be passed off as each other;
- versions only rise, never come from the clock, and may skip; root alone steps by exactly one;
- a release always has a new snapshot and timestamp, except a renewal of the timestamp alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from otarium.domain import roles
from otarium.domain.feed import FEED
from otarium.domain.keys import PublicKey, Sign
from otarium.domain.packages import Entry
from otarium.domain.roles import TARGETS, Delegations, Dialect, Header, Lines, RoleFile
from otarium.domain.versions import ShelfVersions

DAY = 86_400


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Seconds from signing to expiry."""

    root: int = 365 * DAY
    targets: int = 90 * DAY
    snapshot: int = 7 * DAY
    timestamp: int = DAY


@dataclass(frozen=True, slots=True)
class Counters:
    """The last version given out, for every key that counts on its own."""

    root: int = 0
    targets: int = 0
    snapshot: int = 0
    timestamp: int = 0

    def at_least(self, other: "Counters") -> "Counters":
        return Counters(
            max(self.root, other.root),
            max(self.targets, other.targets),
            max(self.snapshot, other.snapshot),
            max(self.timestamp, other.timestamp),
        )


@dataclass(frozen=True, slots=True)
class Release:
    """What devices see at one moment. `number` orders releases; it is the timestamp's version.

    The files of delegated shelves may be many and large: a release knows their versions, and holds those
    that were signed for it in the process that did.
    """

    root: RoleFile
    targets: RoleFile
    snapshot: RoleFile
    timestamp: RoleFile
    counters: Counters
    shelves: ShelfVersions = field(default_factory=ShelfVersions)
    """The version of every delegated shelf that ever was."""
    signed_shelves: Sequence[RoleFile] = ()
    feed: RoleFile | None = None
    """Where it was signed for this release; no other file lists it."""

    @property
    def number(self) -> int:
        return self.timestamp.version

    def files(self) -> Iterable[RoleFile]:
        """Those that are here and that devices see."""
        yield self.root
        yield self.targets
        yield from self.signed_shelves
        yield self.snapshot
        yield self.timestamp


@dataclass(frozen=True, slots=True)
class Delegated:
    """What a release says of delegated roles: who may sign what, and the snapshot lines of other
    publishers' files."""

    delegations: Mapping[Dialect, Delegations] = field(default_factory=dict)
    lines: Lines = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RoleKeys:
    """The keys of the four top-level roles and how many of each must sign."""

    keys: Mapping[str, Sequence[PublicKey]]
    thresholds: Mapping[str, int]


def due(release: Release, now: int) -> frozenset[str]:
    """The roles to sign again: timestamp after a quarter of its life, the others at half."""

    def is_due(file: RoleFile, share: int) -> bool:
        return now >= file.signed_at + (file.expires - file.signed_at) // share

    names = {file.role for file in release.files() if is_due(file, 4 if file.role == "timestamp" else 2)}
    return frozenset(names)


def first_root(keys: RoleKeys, now: int, lifetimes: Lifetimes, sign: Sign) -> RoleFile:
    return roles.root(Header("root", 1, now, now + lifetimes.root), keys.keys, keys.thresholds, sign)


def next_root(current: RoleFile, keys: RoleKeys, now: int, lifetimes: Lifetimes, sign: Sign) -> RoleFile:
    """The same keys, one version up (TUF 5.3: exactly N+1), a new expiry."""
    header = Header("root", current.version + 1, now, now + lifetimes.root)
    return roles.root(header, keys.keys, keys.thresholds, sign)


def build(
    previous: Release | None,
    root: RoleFile,
    changed: Mapping[str, Sequence[Entry]],
    counters: Counters,
    now: int,
    lifetimes: Lifetimes,
    sign: Sign,
    delegated: Delegated | None = None,
) -> Release:
    """Sign the shelves in `changed`, each with its entries in the order of their ids, then snapshot, then
    timestamp. The feed comes after the shelves: its version says that nothing was signed since.

    `counters` is the floor: every new version is above it and above the previous release's.
    """
    delegated = delegated or Delegated()
    counters = replace(counters.at_least(previous.counters) if previous else counters, root=root.version)
    signed = {}
    for role, entries in sorted(changed.items(), key=lambda one: (one[0] == FEED, one[0])):
        counters = replace(counters, targets=counters.targets + 1)
        header = Header(role, counters.targets, now, now + lifetimes.targets)
        delegations = delegated.delegations if role == TARGETS else None
        signed[role] = roles.targets(header, entries, sign, delegations)
    targets = signed.pop(TARGETS, previous.targets if previous else None)
    if targets is None:
        raise ValueError("the first release needs the top-level shelf")
    feed = signed.pop(FEED, None)
    before = previous.shelves if previous else ShelfVersions()
    shelves = before.with_signed({role: file.version for role, file in signed.items()})
    counters = replace(counters, snapshot=counters.snapshot + 1)
    header = Header("snapshot", counters.snapshot, now, now + lifetimes.snapshot)
    snapshot = roles.snapshot(header, targets, shelves, sign, delegated.lines)
    timestamp, counters = _stamped(snapshot, counters, now, lifetimes, sign)
    return Release(root, targets, snapshot, timestamp, counters, shelves, tuple(signed.values()), feed)


def with_timestamp(release: Release, now: int, lifetimes: Lifetimes, sign: Sign) -> Release:
    """The same release under a new timestamp."""
    timestamp, counters = _stamped(release.snapshot, release.counters, now, lifetimes, sign)
    return replace(release, timestamp=timestamp, counters=counters, signed_shelves=(), feed=None)


def with_feed(
    release: Release,
    entries: Sequence[Entry],
    counters: Counters,
    now: int,
    lifetimes: Lifetimes,
    sign: Sign,
) -> Release:
    """The same release for devices, with all packages in one more file."""
    counters = counters.at_least(release.counters)
    counters = replace(counters, targets=counters.targets + 1)
    file = roles.targets(Header(FEED, counters.targets, now, now + lifetimes.targets), entries, sign)
    return replace(release, counters=counters, signed_shelves=(), feed=file)


def _stamped(
    snapshot: RoleFile, counters: Counters, now: int, lifetimes: Lifetimes, sign: Sign
) -> tuple[RoleFile, Counters]:
    counters = replace(counters, timestamp=counters.timestamp + 1)
    header = Header("timestamp", counters.timestamp, now, now + lifetimes.timestamp)
    return roles.timestamp_role(header, snapshot, sign), counters
