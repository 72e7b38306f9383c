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
from otarium.domain.keys import PublicKey, Sign
from otarium.domain.roles import TARGETS, Delegations, Header, Lines, RoleFile
from otarium.domain.shelves import Shelf

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
    """What devices see at one moment. `number` orders releases; it is the timestamp's version."""

    root: RoleFile
    shelves: Mapping[str, RoleFile]
    snapshot: RoleFile
    timestamp: RoleFile
    counters: Counters

    @property
    def number(self) -> int:
        return self.timestamp.version

    def files(self) -> Iterable[RoleFile]:
        yield self.root
        yield from self.shelves.values()
        yield self.snapshot
        yield self.timestamp


@dataclass(frozen=True, slots=True)
class Others:
    """What a release says of files that this repository did not sign."""

    delegations: Delegations = field(default_factory=dict)
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
    changed: Mapping[str, Shelf],
    counters: Counters,
    now: int,
    lifetimes: Lifetimes,
    sign: Sign,
    others: Others | None = None,
) -> Release:
    """Sign the shelves in `changed`, then snapshot, then timestamp.

    `counters` is the floor: every new version is above it and above the previous release's.
    """
    others = others or Others()
    counters = replace(counters.at_least(previous.counters) if previous else counters, root=root.version)
    shelves = dict(previous.shelves) if previous else {}
    for role, shelf in sorted(changed.items()):
        counters = replace(counters, targets=counters.targets + 1)
        header = Header(role, counters.targets, now, now + lifetimes.targets)
        delegations = others.delegations if role == TARGETS else None
        shelves[role] = roles.targets(header, shelf.entries(), sign, delegations)
    if TARGETS not in shelves:
        raise ValueError("the first release needs the top-level shelf")
    counters = replace(counters, snapshot=counters.snapshot + 1)
    header = Header("snapshot", counters.snapshot, now, now + lifetimes.snapshot)
    snapshot = roles.snapshot(header, shelves.values(), sign, others.lines)
    return _stamped(root, shelves, snapshot, counters, now, lifetimes, sign)


def with_timestamp(release: Release, now: int, lifetimes: Lifetimes, sign: Sign) -> Release:
    """The same release under a new timestamp."""
    parts = (release.root, release.shelves, release.snapshot, release.counters)
    return _stamped(*parts, now, lifetimes, sign)


def _stamped(
    root: RoleFile,
    shelves: Mapping[str, RoleFile],
    snapshot: RoleFile,
    counters: Counters,
    now: int,
    lifetimes: Lifetimes,
    sign: Sign,
) -> Release:
    counters = replace(counters, timestamp=counters.timestamp + 1)
    header = Header("timestamp", counters.timestamp, now, now + lifetimes.timestamp)
    timestamp = roles.timestamp_role(header, snapshot, sign)
    return Release(root, shelves, snapshot, timestamp, counters)
