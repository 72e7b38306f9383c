"""The port of shelves: which pages there are, how full they are, and who stands on them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from otarium.domain.names import PackageId, PackageName
from otarium.domain.packages import Entry
from otarium.domain.roles import RoleFile
from otarium.domain.shelves import NamedShelf, Shelf, StatedShelf


class Shelves(Protocol):
    """Rows of pages and of the names on their shelves; neither is ever removed.

    targets.json is a page too, whose names are not kept. What a page holds is counted by `count`, in the
    transaction that changes it.
    """

    def get(self, role: str) -> Shelf: ...
    def opened(self) -> int:
        """How many delegated pages there are."""
        ...

    def newest_page(self, name: PackageName) -> Shelf | None:
        """Where new versions of a name go; None for a name that never stood on a delegated shelf."""
        ...

    def emptiest(self) -> Shelf:
        """The newest page of the delegated shelf with the fewest targets on all its pages."""
        ...

    def sparsest(self, first: str) -> Shelf:
        """The page of a shelf with the fewest targets."""
        ...

    def open(self, shelf: Shelf) -> None: ...
    def renumber(self, role: str, page: int) -> None:
        """Give a page another place in its shelf; the highest is the newest."""
        ...

    def assign(self, name: PackageName, first: str) -> None:
        """From now on, and for ever, the name stands on the shelf with this first page."""
        ...

    def state(self, first: str, longest: int, paths: bytes) -> None:
        """What targets.json says of the names on a shelf, whenever one more is assigned to it."""
        ...

    def count(self, role: str, targets: int, size: int) -> None:
        """So many targets and bytes more (or fewer) are on a page."""
        ...

    def entries(self, role: str) -> Sequence[Entry]:
        """What a page holds, in the order of its ids (code points)."""
        ...

    def every(self) -> Sequence[Entry]:
        """What all pages hold together, in the order of its ids."""
        ...

    def total(self) -> tuple[int, int]:
        """(targets, bytes) on all pages."""
        ...

    def delegated(self) -> Sequence[Shelf]:
        """All pages but targets.json."""
        ...

    def placed(self, role: str) -> Iterator[tuple[PackageName, PackageId, int]]:
        """(name, id, size) of all packages on a page, by name; oldest first."""
        ...

    def move(self, roles: Mapping[PackageId, str]) -> None:
        """Put packages on other pages; does not count."""
        ...

    def holding(self, package_id: PackageId) -> str:
        """The page on which a package is."""
        ...

    def stated(self) -> Sequence[StatedShelf]:
        """The same pages as `named`, as targets.json delegates to them."""
        ...

    def named(self) -> Sequence[NamedShelf]:
        """The pages that devices are sent to, with their names: the newest of each shelf, and all others that
        are not empty."""
        ...

    def pages_of(self, names: Iterable[str]) -> int:
        """How many pages, also empty ones, the shelves have that these names stand on; names that stand
        nowhere are none."""
        ...

    def mates(self, name: PackageName) -> Sequence[PackageName]:
        """All names on the shelf of this one."""
        ...

    def extend(self, names: Sequence[PackageName]) -> bool:
        """Whether another name starts with one of these and a hyphen."""
        ...

    def ids(self, name: PackageName) -> Sequence[PackageId]:
        """The packages of a name."""
        ...

    def foreign_ids(self) -> Sequence[PackageId]:
        """The packages of all other publishers."""
        ...

    def signed(self, files: Sequence[RoleFile]) -> None:
        """Remember when pages were signed."""
        ...

    def due(self, now: int, at_most: int) -> Sequence[str]:
        """Pages that have lived half of their life, oldest first. Those that devices are not sent to are left
        alone, for ever: nobody fetches them, and whoever puts packages on one signs it."""
        ...
