"""Rows of shelves: pages, how full they are, and the names that stand on them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, exists, func, insert, or_, select, update

from otarium.adapters import tables
from otarium.adapters.quick import Quick
from otarium.adapters.rows_packages import ENTRY, entry_of
from otarium.domain.names import OWN_SOURCE, PackageId, PackageName
from otarium.domain.packages import Entry
from otarium.domain.roles import TARGETS, RoleFile
from otarium.domain.shelves import NamedShelf, Shelf, StatedShelf

_P = tables.packages
_S = tables.shelves
_N = tables.names
_OWN = _P.c.source == str(OWN_SOURCE)
_DELEGATED = _S.c.role != TARGETS
_SHELF = (_S.c.role, _S.c.first, _S.c.page, _S.c.targets, _S.c.bytes)

# Statements of every upload.
_GET = Quick(select(*_SHELF).where(_S.c.role == bindparam("role")))
_OPENED = Quick(select(func.count()).select_from(_S).where(_DELEGATED))
_NEWEST_PAGE = Quick(
    select(*_SHELF)
    .join(_N, _N.c.shelf == _S.c.first)
    .where(_N.c.name == bindparam("name"))
    .order_by(_S.c.page.desc())
    .limit(1)
)
_TOTALS = _S.alias("totals")
_FEWEST = (
    select(_TOTALS.c.first)
    .where(_TOTALS.c.role != TARGETS)
    .group_by(_TOTALS.c.first)
    .order_by(func.sum(_TOTALS.c.targets), _TOTALS.c.first)
    .limit(1)
    .scalar_subquery()
)
_EMPTIEST = Quick(select(*_SHELF).where(_S.c.first == _FEWEST).order_by(_S.c.page.desc()).limit(1))
_COUNT = Quick(
    update(_S)
    .where(_S.c.role == bindparam("of"))
    .values(targets=_S.c.targets + bindparam("more_targets"), bytes=_S.c.bytes + bindparam("more_bytes"))
    .returning(_S.c.role)
)
_ENTRIES = Quick(select(*ENTRY).where(_P.c.shelf == bindparam("shelf"), _OWN).order_by(_P.c.package_id))
_SHELF_OF = select(_N.c.shelf).where(_N.c.name == bindparam("name")).scalar_subquery()
_MATES = Quick(select(_N.c.name).where(_N.c.shelf == _SHELF_OF))
# `.` comes after `-`, with nothing between.
_BELOW = Quick(
    select(_N.c.name)
    .where(
        _N.c.name > bindparam("low", type_=_N.c.name.type),
        _N.c.name < bindparam("high", type_=_N.c.name.type),
    )
    .limit(1)
)
_EVERY = Quick(select(*ENTRY).where(_OWN).order_by(_P.c.package_id))
_TOTAL = Quick(select(func.sum(_S.c.targets), func.sum(_S.c.bytes)))
_HOLDING = select(_P.c.shelf).where(_P.c.package_id == bindparam("id"), _OWN)
_MOVE = update(_P).where(_P.c.package_id == bindparam("id"), _OWN).values(shelf=bindparam("to"))
_SIGNED = Quick(update(_S).where(_S.c.role == bindparam("of")).values(due_at=bindparam("at")))
_EVERY_NAME = Quick(select(_N.c.name, _N.c.shelf).order_by(_N.c.name))
_EVERY_PAGE = Quick(
    select(_S.c.role, _S.c.first, _S.c.page, _S.c.targets, _S.c.longest, _S.c.paths).where(_DELEGATED)
)
_STATE = (
    update(_S)
    .where(_S.c.role == bindparam("of"))
    .values(longest=bindparam("longest_name"), paths=bindparam("patterns"))
)
_NEWER = _S.alias("newer")
_IN_USE = or_(_S.c.targets > 0, ~exists().where(_NEWER.c.first == _S.c.first, _NEWER.c.page > _S.c.page))
"""What devices are sent to."""


@cache
def _pages_of(names: int) -> Quick:
    """A statement for so many names."""
    given: list[Any] = [bindparam(f"name{number}") for number in range(names)]
    shelves = select(_N.c.shelf).where(_N.c.name.in_(given))
    return Quick(select(func.count()).select_from(_S).where(_S.c.first.in_(shelves)))


class ShelfRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, role: str) -> Shelf:
        [row] = _GET.rows(self._connection, role=role)
        return Shelf(*row)

    def opened(self) -> int:
        [[pages]] = _OPENED.rows(self._connection)
        return int(pages)

    def newest_page(self, name: PackageName) -> Shelf | None:
        rows = _NEWEST_PAGE.rows(self._connection, name=name)
        return Shelf(*rows[0]) if rows else None

    def emptiest(self) -> Shelf:
        [row] = _EMPTIEST.rows(self._connection)
        return Shelf(*row)

    def sparsest(self, first: str) -> Shelf:
        pages = select(*_SHELF).where(_S.c.first == first).order_by(_S.c.targets, _S.c.page).limit(1)
        return Shelf(*self._connection.execute(pages).one())

    def renumber(self, role: str, page: int) -> None:
        self._connection.execute(update(_S).where(_S.c.role == role).values(page=page))

    def open(self, shelf: Shelf) -> None:
        row = insert(_S).values(
            role=shelf.role, first=shelf.first, page=shelf.page, targets=shelf.targets, bytes=shelf.bytes
        )
        self._connection.execute(row)

    def assign(self, name: PackageName, first: str) -> None:
        self._connection.execute(insert(_N).values(name=name, shelf=first))

    def state(self, first: str, longest: int, paths: bytes) -> None:
        self._connection.execute(_STATE, {"of": first, "longest_name": longest, "patterns": paths})

    def count(self, role: str, targets: int, size: int) -> None:
        _COUNT.rows(self._connection, of=role, more_targets=targets, more_bytes=size)

    def entries(self, role: str) -> Sequence[Entry]:
        return [entry_of(*row) for row in _ENTRIES.rows(self._connection, shelf=role)]

    def every(self) -> Sequence[Entry]:
        return [entry_of(*row) for row in _EVERY.rows(self._connection)]

    def total(self) -> tuple[int, int]:
        [[targets, size]] = _TOTAL.rows(self._connection)
        return int(targets), int(size)

    def delegated(self) -> Sequence[Shelf]:
        return [Shelf(*row) for row in self._connection.execute(select(*_SHELF).where(_DELEGATED))]

    def placed(self, role: str) -> Iterator[tuple[PackageName, PackageId, int]]:
        size = func.length(_P.c.entry_uptane) + 1
        on_page = select(_P.c.name, _P.c.package_id, size).where(_OWN, _P.c.shelf == role)
        statement = on_page.order_by(_P.c.name, _P.c.pk)
        for name, package_id, length in self._connection.execute(statement):
            yield PackageName(name), PackageId(package_id), length

    def move(self, roles: Mapping[PackageId, str]) -> None:
        if roles:
            rows = [{"id": package_id, "to": role} for package_id, role in roles.items()]
            self._connection.execute(_MOVE, rows)

    def holding(self, package_id: PackageId) -> str:
        return str(self._connection.execute(_HOLDING, {"id": package_id}).scalar_one())

    def named(self) -> Sequence[NamedShelf]:
        on: dict[str, list[PackageName]] = {}
        for name, shelf in _EVERY_NAME.rows(self._connection):
            on.setdefault(shelf, []).append(PackageName(name))
        return [NamedShelf(*page[:3], tuple(on.get(page.first, ()))) for page in self.stated()]

    def stated(self) -> Sequence[StatedShelf]:
        pages = _EVERY_PAGE.rows(self._connection)
        newest: dict[str, int] = {}
        said: dict[str, tuple[int, bytes]] = {}
        for _, first, page, _, longest, paths in pages:
            newest[first] = max(page, newest.get(first, 0))
            if paths is not None:
                said[first] = longest, paths
        return [
            StatedShelf(role, first, page, *said[first])
            for role, first, page, targets, *_ in pages
            if targets or page == newest[first]
        ]

    def pages_of(self, names: Iterable[str]) -> int:
        """A name or what begins one has few hyphens, and an id at most as many as it has characters."""
        given = {f"name{number}": name for number, name in enumerate(set(names))}
        if not given:
            return 0
        [[pages]] = _pages_of(len(given)).rows(self._connection, **given)
        return int(pages)

    def mates(self, name: PackageName) -> Sequence[PackageName]:
        return [PackageName(one) for (one,) in _MATES.rows(self._connection, name=name)]

    def extend(self, names: Sequence[PackageName]) -> bool:
        return any(_BELOW.rows(self._connection, low=f"{name}-", high=f"{name}.") for name in names)

    def ids(self, name: PackageName) -> Sequence[PackageId]:
        of_name = select(_P.c.package_id).where(_P.c.name == name, _OWN)
        return [PackageId(one) for one in self._connection.execute(of_name).scalars()]

    def foreign_ids(self) -> Sequence[PackageId]:
        of_others = select(_P.c.package_id).distinct().where(~_OWN)
        return [PackageId(one) for one in self._connection.execute(of_others).scalars()]

    def signed(self, files: Sequence[RoleFile]) -> None:
        for file in files:
            _SIGNED.run(self._connection, of=file.role, at=(file.signed_at + file.expires) // 2)

    def due(self, now: int, at_most: int) -> Sequence[str]:
        late = select(_S.c.role).where(_DELEGATED, _S.c.due_at <= now, _IN_USE)
        return list(self._connection.execute(late.order_by(_S.c.due_at).limit(at_most)).scalars())
