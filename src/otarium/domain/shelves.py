"""Shelves: which role file holds the packages of which name.

A shelf is a role signed by the targets key. The top-level targets role is the first shelf and, while a
repository is small, the only one; every name keeps the shelf it was first put on.
A shelf is a value: a release is built from changed copies, and a failed release leaves no trace.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from otarium.domain.names import PackageId, PackageName
from otarium.domain.packages import Entry
from otarium.domain.roles import TARGETS


@dataclass(frozen=True, slots=True)
class Shelf:
    """The signed entries of one role, in the order of their ids (code points)."""

    role: str
    entries: Mapping[PackageId, Entry] = field(default_factory=dict)

    def changed(self, changes: Mapping[PackageId, Entry | None]) -> "Shelf":
        """A copy with entries put, replaced or (None) taken away."""
        entries = dict(self.entries)
        grown = False
        for package_id, entry in changes.items():
            if entry is None:
                entries.pop(package_id, None)
            else:
                grown = grown or package_id not in entries
                entries[package_id] = entry
        if grown:
            entries = {package_id: entries[package_id] for package_id in sorted(entries)}
        return Shelf(self.role, entries)


def shelf_of(name: PackageName) -> str:
    """The role that holds a name's packages."""
    return TARGETS
