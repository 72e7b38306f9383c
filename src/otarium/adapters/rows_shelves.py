"""Rows of shelves: pages, how full they are, and the names that stand on them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sqlalchemy import Connection, and_, bindparam, exists, func, insert, or_, select, update

from otarium.adapters import tables
from otarium.adapters.quick import Quick
from otarium.adapters.rows_packages import ENTRY, entry_of
from otarium.domain.names import OWN_SOURCE, PackageId, PackageName
from otarium.domain.packages import Entry
from otarium.domain.roles import TARGETS, RoleFile
from otarium.domain.shelves import NamedShelf, Shelf

_P = tables.packages
_S = tables.shelves
_N = tables.names
_OWN = _P.c.source == str(OWN_SOURCE)
_DELEGATED = _S.c.role != TARGETS
_SHELF = (_S.c.role, _S.c.first, _S.c.page, _S.c.targets, _S.c.bytes)
_GET = select(*_SHELF).where(_S.c.role == bindparam("role"))
_OPENED = select(func.count()).select_from(_S).where(_DELEGATED)
_NEWEST_PAGE = (
    select(*_SHELF)
    .join(_N, _N.c.shelf == _S.c.first)
    .where(_N.c.name == bindparam("name"))
    .order_by(_S.c.page.desc())
    .limit(1)
)
_COUNT = (
    update(_S)
    .where(_S.c.role == bindparam("of"))
    .values(targets=_S.c.targets + bindparam("more_targets"), bytes=_S.c.bytes + bindparam("more_bytes"))
)
_ENTRIES = select(*ENTRY).where(_P.c.shelf == bindparam("shelf"), _OWN).order_by(_P.c.package_id)
_EVERY = select(*ENTRY).where(_OWN).order_by(_P.c.package_id)
_TOTAL = select(func.sum(_S.c.targets), func.sum(_S.c.bytes))
_HOLDING = select(_P.c.shelf).where(_P.c.package_id == bindparam("id"), _OWN)
_MOVE = update(_P).where(_P.c.package_id == bindparam("id"), _OWN).values(shelf=bindparam("to"))
_SIGNED = update(_S).where(_S.c.role == bindparam("of")).values(due_at=bindparam("at"))
_EVERY_NAME = Quick(select(_N.c.name, _N.c.shelf).order_by(_N.c.name))
_EVERY_PAGE = Quick(select(_S.c.role, _S.c.first, _S.c.page).where(_DELEGATED))
_SHELVES_OF = select(_N.c.shelf).where(_N.c.name.in_(bindparam("names", expanding=True)))
_PAGES_OF = select(func.count()).select_from(_S).where(_S.c.first.in_(_SHELVES_OF))


class ShelfRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, role: str) -> Shelf:
        return Shelf(*self._connection.execute(_GET, {"role": role}).one())

    def opened(self) -> int:
        return int(self._connection.execute(_OPENED).scalar_one())

    def newest_page(self, name: PackageName) -> Shelf | None:
        row = self._connection.execute(_NEWEST_PAGE, {"name": name}).first()
        return Shelf(*row) if row else None

    def emptiest(self) -> Shelf:
        fewest = select(_S.c.first).where(_DELEGATED).group_by(_S.c.first)
        first = (
            self._connection.execute(fewest.order_by(func.sum(_S.c.targets), _S.c.first)).scalars().first()
        )
        newest = select(*_SHELF).where(_S.c.first == first).order_by(_S.c.page.desc()).limit(1)
        return Shelf(*self._connection.execute(newest).one())

    def open(self, shelf: Shelf) -> None:
        row = insert(_S).values(
            role=shelf.role, first=shelf.first, page=shelf.page, targets=shelf.targets, bytes=shelf.bytes
        )
        self._connection.execute(row)

    def assign(self, name: PackageName, first: str) -> None:
        self._connection.execute(insert(_N).values(name=name, shelf=first))

    def count(self, role: str, targets: int, size: int) -> None:
        self._connection.execute(_COUNT, {"of": role, "more_targets": targets, "more_bytes": size})

    def entries(self, role: str) -> Sequence[Entry]:
        return [entry_of(row) for row in self._connection.execute(_ENTRIES, {"shelf": role}).all()]

    def every(self) -> Sequence[Entry]:
        return [entry_of(row) for row in self._connection.execute(_EVERY)]

    def total(self) -> tuple[int, int]:
        targets, size = self._connection.execute(_TOTAL).one()
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
        pages = _EVERY_PAGE.rows(self._connection)
        return [NamedShelf(role, first, page, tuple(on.get(first, ()))) for role, first, page in pages]

    def pages_of(self, names: Iterable[str]) -> int:
        """A name or what begins one has few hyphens, and an id at most as many as it has characters."""
        return int(self._connection.execute(_PAGES_OF, {"names": sorted(set(names))}).scalar_one())

    def mates(self, name: PackageName) -> Sequence[PackageName]:
        shelf = select(_N.c.shelf).where(_N.c.name == name).scalar_subquery()
        found = self._connection.execute(select(_N.c.name).where(_N.c.shelf == shelf))
        return [PackageName(one) for one in found.scalars()]

    def extend(self, names: Sequence[PackageName]) -> bool:
        """`.` comes after `-`, with nothing between."""
        ranges = [and_(_N.c.name > f"{name}-", _N.c.name < f"{name}.") for name in names]
        return bool(ranges) and bool(self._connection.execute(select(exists().where(or_(*ranges)))).scalar())

    def ids(self, name: PackageName) -> Sequence[PackageId]:
        of_name = select(_P.c.package_id).where(_P.c.name == name, _OWN)
        return [PackageId(one) for one in self._connection.execute(of_name).scalars()]

    def signed(self, files: Sequence[RoleFile]) -> None:
        if files:
            rows = [{"of": file.role, "at": (file.signed_at + file.expires) // 2} for file in files]
            self._connection.execute(_SIGNED, rows)

    def due(self, now: int, at_most: int) -> Sequence[str]:
        late = select(_S.c.role).where(_DELEGATED, _S.c.due_at <= now).order_by(_S.c.due_at).limit(at_most)
        return list(self._connection.execute(late).scalars())
