"""Shelves: which role file holds the packages of which name.

A shelf is a role signed by the targets key. The top-level targets role is the first shelf and, while a
repository is small, the only one; every name keeps the shelf it was first put on.
A shelf is a value: a release is built from changed copies, and a failed release leaves no trace.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from otarium.domain.names import PackageId, PackageName
from otarium.domain.packages import Entry
from otarium.domain.roles import TARGETS


@dataclass(frozen=True, slots=True)
class Shelf:
    """The signed entries of one role, in the order of their ids (code points)."""

    role: str
    ids: Sequence[PackageId] = ()
    by_id: Mapping[PackageId, Entry] = field(default_factory=dict)

    def entries(self) -> list[Entry]:
        return [self.by_id[package_id] for package_id in self.ids]

    def changed(self, changes: Mapping[PackageId, Entry | None]) -> "Shelf":
        """A copy with entries put, replaced or (None) taken away."""
        by_id = dict(self.by_id)
        for package_id, entry in changes.items():
            if entry is None:
                by_id.pop(package_id, None)
            else:
                by_id[package_id] = entry
        new = [package_id for package_id in changes if package_id in by_id and package_id not in self.by_id]
        ids = [*self.ids, *new]
        if len(by_id) != len(ids):
            ids = [package_id for package_id in ids if package_id in by_id]
        if new:
            ids.sort()
        return Shelf(self.role, ids, by_id)


_PAGE = re.compile(r"p-[0-9a-f]+")


def is_shelf(role: str) -> bool:
    """Whether a role of a snapshot is signed by the targets key; every other one is a source."""
    return role == TARGETS or _PAGE.fullmatch(role) is not None


def shelf_of(name: PackageName) -> str:
    """The role that holds a name's packages."""
    return TARGETS
