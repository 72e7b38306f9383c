"""A repository of any size as it would have grown: all names on their shelves, everything signed.

Packages go straight into the tables, placed as the server would have placed them one after another; the
pages are then signed by the server's own publisher.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Connection, create_engine, insert, update

from bench import rows
from otarium import bootstrap
from otarium.adapters import tables
from otarium.domain.names import OWN_SOURCE, PackageName
from otarium.domain.packages import Package
from otarium.domain.roles import TARGETS
from otarium.domain.shelves import ShelfLimits, role_of, size_of, stated
from otarium.services.publishing import Outcome
from otarium.settings import Settings, StorageSettings

SIGNED_AT_ONCE = 64


class Layout:
    """Which page takes each package, and how full that makes it."""

    def __init__(self, packages: int) -> None:
        self._limits = ShelfLimits()
        self._flat = packages <= self._limits.first
        self.names: dict[str, str] = {}
        self.targets: dict[str, int] = defaultdict(int)
        self.bytes: dict[str, int] = defaultdict(int)
        self._emptiest: list[tuple[int, str]] = []

    def place(self, package: Package) -> str:
        role = TARGETS if self._flat else self.names.get(package.name) or self._open(package.name)
        self.targets[role] += 1
        self.bytes[role] += size_of(package.entry())
        if self.targets[role] > self._limits.page:
            raise ValueError(f"{role} would need a second page, which this layout has none of")
        return role

    def _open(self, name: str) -> str:
        """A shelf of its own, later the first among the emptiest: names take turns, so all are alike."""
        if len(self._emptiest) < self._limits.own:
            role = role_of(len(self._emptiest) + 1)
            heapq.heappush(self._emptiest, (0, role))
        else:
            names, role = heapq.heappop(self._emptiest)
            heapq.heappush(self._emptiest, (names + 1, role))
        self.names[name] = role
        return role

    def roles(self) -> Iterator[str]:
        yield from (role for role in self.targets if role != TARGETS)


def make(data_dir: Path, packages: int, database_url: str | None = None) -> None:
    """2,000 names, as many versions of each as it takes; on SQLite where no URL of PostgreSQL is given."""
    data_dir.mkdir(mode=0o700, parents=True)
    database = None if database_url is None else SecretStr(database_url)
    settings = Settings(storage=StorageSettings(data_dir=data_dir, database_url=database))
    repository = bootstrap.prepare(settings)
    layout = Layout(packages)
    repository.catalog.close()
    engine = create_engine(settings.storage.catalog_url)
    with engine.begin() as connection:
        if database_url is None:
            connection.exec_driver_sql("PRAGMA cache_size=-524288")
        rows.insert_all(connection, map(_uploaded, range(packages)), layout.place)
        _insert_layout(connection, layout)
        connection.execute(update(tables.repository).values(revision=packages))
    with engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
        connection.commit()
    engine.dispose()
    _sign(bootstrap.open_repository(settings), layout)


def _uploaded(number: int) -> Package:
    """As after a plain upload: one hardware id and nothing edited, which is an entry of 310 bytes."""
    one = rows.package(number)
    return replace(one, source=OWN_SOURCE, uri=None, meta=None, hardware_ids=one.hardware_ids[:1])


def _insert_layout(connection: Connection, layout: Layout) -> None:
    shelves = [
        {"role": role, "first": role, "page": 0, "targets": layout.targets[role], "bytes": layout.bytes[role]}
        for role in layout.roles()
    ]
    if shelves:
        on: dict[str, list[PackageName]] = defaultdict(list)
        for name, role in layout.names.items():
            on[role].append(PackageName(name))
        for shelf in shelves:
            shelf["longest"], shelf["paths"] = stated(on[str(shelf["role"])])
        connection.execute(insert(tables.shelves), shelves)
        names = [{"name": name, "shelf": role} for name, role in layout.names.items()]
        connection.execute(insert(tables.names), names)
    top = {"targets": layout.targets[TARGETS], "bytes": layout.bytes[TARGETS]}
    connection.execute(update(tables.shelves).where(tables.shelves.c.role == TARGETS).values(**top))


def _sign(repository: bootstrap.Repository, layout: Layout) -> None:
    publisher, _ = repository.publisher()
    publisher.start()
    left = iter([TARGETS, *layout.roles()])
    while signs := frozenset(islice(left, SIGNED_AT_ONCE)):
        publisher.submit(lambda _tx, _now, signs=signs: Outcome(None, signs)).result()
    publisher.stop()
