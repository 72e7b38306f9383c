"""Shelves: which role file holds the packages of which name.

A shelf is a role signed by the targets key. The top-level targets role is the first one and, while a
repository is small, the only one. Beyond that every name stands on a delegated shelf `p-%04x`, for ever:
on one of its own while there are few, later on the one with the fewest targets. A shelf that is full goes
on on a new page, a further role with the same patterns; new versions go to the newest page. A page that
deletions left at most half full becomes the newest once more, before another role is opened.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from otarium.domain import canonical
from otarium.domain.canonical import Forms
from otarium.domain.keys import PublicKey
from otarium.domain.names import PackageName
from otarium.domain.packages import Entry
from otarium.domain.roles import TARGETS, Delegations

ROLE_BYTES = 5_000_000
"""No role file grows beyond this, which is the least that any client accepts (python-tuf, tuf-js)."""
TOP_BYTES = 8 * 1024 * 1024
"""But targets.json, whose length is stated in the snapshot, so that aktualizr is the strictest."""
ENTRIES_BYTES = ROLE_BYTES - 10_000
"""What of a file is left for entries beside signatures and dates."""
OPEN_BYTES = 4_000_000
"""A page takes new packages up to here; the rest is left for edits."""

_DELEGATED = re.compile(r"p-[0-9a-f]+")
_SPECIAL = re.compile(r"[*?\[\](){}#!\\]")
_BRACKETED = re.compile(r"[*?\[\]()}#\\]")
_INEXACT = re.compile(r"\{|(?:^|(?<=/))!")
"""minimatch expands braces even in brackets, and takes a `!` that begins a segment for a negation."""


@dataclass(frozen=True, slots=True)
class ShelfLimits:
    """When packages move on. `flat` keeps all of them in targets.json, for tools that read it themselves."""

    first: int = 1000
    """Packages in targets.json before names move off it."""
    page: int = 1000
    """Targets on a page before the next one is opened."""
    flat: bool = False
    own: int = 1024
    """While there are fewer roles a new name gets its own shelf; tuf-js is quadratic in their number."""
    delegating: int = TOP_BYTES
    """Bytes of targets.json where it delegates to shelves."""

    @property
    def top_bytes(self) -> int:
        """The longest that targets.json may be."""
        return ROLE_BYTES if self.flat else self.delegating

    @property
    def warning_bytes(self) -> int:
        """From here on an operator is told that targets.json is about to be full."""
        return self.top_bytes * 3 // 4

    @property
    def advice(self) -> str:
        """What makes room in targets.json."""
        if self.flat:
            return "Delete packages, or let them move onto shelves with OTARIUM_LAYOUT=shelves."
        return (
            "It lists all names, also of deleted packages, and all sources: publish under names that are "
            "there, take short ones, or remove sources."
        )


@dataclass(frozen=True, slots=True)
class Shelf:
    """One page: a role, and how full it is. `bytes` is what its entries take in a signed file."""

    role: str
    first: str
    """The role of the shelf's first page, which names the shelf."""
    page: int = 0
    targets: int = 0
    bytes: int = 0

    def has_room(self, size: int, at_most: int) -> bool:
        return self.targets < at_most and self.bytes + size <= OPEN_BYTES

    def is_sparse(self, at_most: int) -> bool:
        """Whether it is worth being filled once more."""
        return 2 * self.targets <= at_most and 2 * self.bytes <= OPEN_BYTES


def role_of(number: int) -> str:
    """The name of the delegated role that is opened as the `number`th, from 1."""
    return f"p-{number:04x}"


def is_shelf(role: str) -> bool:
    """Whether a role of a snapshot is signed by the targets key; every other one is a source."""
    return role == TARGETS or _DELEGATED.fullmatch(role) is not None


def size_of(entry: Entry) -> int:
    """The bytes that an entry takes in the larger dialect, with the comma."""
    return len(entry.uptane) + 1


@lru_cache(maxsize=4096)
def pattern_of(name: PackageName) -> str:
    """The path pattern of a name's packages: the same text, with the same meaning, for fnmatch(3), for
    Python's fnmatch and for minimatch. Where they have no common escape `?` matches a little more."""
    if _SPECIAL.search(name) is None:
        return f"{name}-*"
    return _INEXACT.sub("?", _BRACKETED.sub(_bracketed, name)) + "-*"


def _bracketed(special: re.Match[str]) -> str:
    return "[\\\\]" if special[0] == "\\" else f"[{special[0]}]"


def is_exact(name: PackageName) -> bool:
    """Whether the pattern of a name matches nothing but what starts with the name and a hyphen."""
    return _INEXACT.search(name) is None


class NamedShelf(NamedTuple):
    """A page with the names that stand on its shelf."""

    role: str
    first: str
    page: int
    names: tuple[PackageName, ...]


class StatedShelf(NamedTuple):
    """A page as targets.json delegates to it."""

    role: str
    first: str
    page: int
    longest: int
    """Characters of the longest name on its shelf."""
    paths: bytes
    """The patterns of all names as a JSON list, made when a name is put there: a release joins them."""

    @classmethod
    def of(cls, page: NamedShelf) -> "StatedShelf":
        return cls(*page[:3], *stated(page.names))


def stated(names: Sequence[PackageName]) -> tuple[int, bytes]:
    """`longest` and `paths` of a shelf with these names."""
    return max(map(len, names)), canonical.tuf([pattern_of(name) for name in sorted(names)])


def delegations(pages: Iterable[StatedShelf], keys: Sequence[PublicKey], threshold: int) -> Delegations:
    """The `delegations` member for our own shelves: longest name first, so that most packages are found
    with one file, and newest page first. Nothing is terminating: a version may spell a longer name."""
    head = b'{"keyids":%b,"name":"' % canonical.tuf([key.key_id for key in keys])
    tail = b',"terminating":false,"threshold":%d}' % threshold
    in_order = sorted(pages, key=lambda page: (-page.longest, page.first, -page.page))
    roles = [_forms(b'%b%b","paths":%b%b' % (head, one.role.encode(), one.paths, tail)) for one in in_order]
    return Delegations({key.key_id: key.to_object() for key in keys}, roles)


def _forms(tuf: bytes) -> Forms:
    """Names have no control characters, so what is signed is what is served."""
    return Forms(tuf if tuf.isascii() else canonical.uptane(json.loads(tuf)), tuf, tuf)
