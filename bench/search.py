"""Search among 1,000,000 packages, on SQLite and on PostgreSQL: every filter, in every order, at any offset.

A page is timed from the open transaction to the JSON of 50 packages with their exact total, without HTTP: so
the figures are those of the databases. Values, order and offset are drawn anew for every page. What a package
costs to add, to the rows and to what searches read, is timed beside, in transactions that are undone.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from bench import quiet, rows
from bench.figures import Figure
from bench.ground import Ground
from otarium.adapters.catalog import SqliteCatalog
from otarium.adapters.catalog_postgres import PostgresCatalog
from otarium.domain.names import OWN_SOURCE, PackageName, PackageVersion, SourceName
from otarium.domain.packages import PackageQuery
from otarium.domain.roles import TARGETS
from otarium.services.ports import Catalog
from otarium.web.wire_out import ending, packages_out
from postgresql import running_cluster

PACKAGES = 1_000_000
PAGES = 60
ADDED = 40
TARGET_MS = 50
PATIENCE = 10.0
Values = dict[str, Any]
Draw = Callable[[random.Random], Values]


def _any(chance: random.Random) -> Any:
    return rows.package(chance.randrange(PACKAGES))


def _part(chance: random.Random, text: str, least: int, most: int) -> str:
    length = chance.randint(least, most)
    start = chance.randrange(len(text) - length + 1)
    return text[start : start + length].upper()


FEEDS = [SourceName(f"feed-{number}") for number in range(4)]
QUERIES: dict[str, Draw] = {
    "no filter": lambda chance: {},
    "name": lambda chance: {"name": _any(chance).name},
    "version": lambda chance: {"version": _any(chance).version},
    "nameContains, 1-2 characters": lambda chance: {"name_contains": _part(chance, _any(chance).name, 1, 2)},
    "nameContains, 3-10": lambda chance: {"name_contains": _part(chance, _any(chance).name, 3, 10)},
    "idContains, 1-2 characters": lambda chance: {"id_contains": _part(chance, _any(chance).id, 1, 2)},
    "idContains, 3-14": lambda chance: {"id_contains": _part(chance, _any(chance).id, 3, 14)},
    "idContains, two dashes": lambda chance: {"id_contains": "-" + _any(chance).id.partition("-")[2]},
    "packageSource, our own": lambda chance: {"sources": (OWN_SOURCE,)},
    "packageSource, two others": lambda chance: {"sources": tuple(chance.sample(FEEDS, 2))},
    "external alone": lambda chance: {"external": True},
    "hardwareIds, one": lambda chance: {"hardware_ids": tuple(chance.sample(rows.HARDWARE, 1))},
    "hardwareIds, three": lambda chance: {"hardware_ids": tuple(chance.sample(rows.HARDWARE, 3))},
    "hasSBOM": lambda chance: {"has_sbom": chance.random() < 0.5},
    "hashes, three": lambda chance: {"hashes": tuple(_any(chance).content.sha256 for _ in range(3))},
    "packageIds, fifty": lambda chance: {"ids": tuple(_any(chance).id for _ in range(50))},
}
TOGETHER = ("nameContains, 3-10", "idContains, 1-2 characters", "version", "packageSource, our own")
FILTERS = [name for name in QUERIES if name != "no filter"]


def _all_of(*names: str) -> Draw:
    return lambda chance: {key: value for name in names for key, value in QUERIES[name](chance).items()}


QUERIES |= {
    "hardwareIds + hasSBOM": _all_of("hardwareIds, one", "hasSBOM"),
    "nameContains + hardwareIds + hasSBOM": _all_of("nameContains, 3-10", "hardwareIds, one", "hasSBOM"),
    "nameContains + idContains + version + packageSource": _all_of(*TOGETHER),
    "any three filters": lambda chance: _all_of(*chance.sample(FILTERS, 3))(chance),
}


def run(ground: Ground) -> list[Figure]:
    figures = []
    for name, opened in (("SQLite", sqlite), ("PostgreSQL", postgresql)):
        with opened(ground.directory) as catalog:
            quiet.wait(PATIENCE)
            figures += [Figure(f"{name}: a package added to rows and listing", _adding(catalog), "ms")]
            figures += [
                figure for title, draw in QUERIES.items() for figure in _pages(name, catalog, title, draw)
            ]
    return figures


@contextmanager
def sqlite(directory: Path) -> Iterator[Catalog]:
    path = directory / "million.sqlite"
    rows.fill(f"sqlite:///{path}", PACKAGES)
    catalog = SqliteCatalog(path)
    yield catalog
    catalog.close()


@contextmanager
def postgresql(_directory: Path) -> Iterator[Catalog]:
    with running_cluster() as cluster:
        url = cluster.new_database()
        rows.fill(url.replace("postgresql://", "postgresql+psycopg://"), PACKAGES)
        catalog = PostgresCatalog(url)
        yield catalog
        catalog.close()


def _pages(database: str, catalog: Catalog, title: str, draw: Draw) -> list[Figure]:
    chance = random.Random(title)
    seconds = sorted(_page(catalog, chance, draw) for _ in range(PAGES))
    name = f"{database}: {title}"
    return [
        Figure(f"{name}, median", median(seconds) * 1000, "ms"),
        Figure(f"{name}, 95 of 100 within", seconds[PAGES * 95 // 100] * 1000, "ms", at_most=TARGET_MS),
    ]


def _page(catalog: Catalog, chance: random.Random, draw: Draw) -> float:
    """Seconds of one page at an offset that it has."""
    sort_by, ascending = chance.choice(("CreatedAt", "Filename")), chance.random() < 0.5
    query = PackageQuery(limit=0, sort_by=sort_by, ascending=ascending, **draw(chance))
    with catalog.read() as tx:
        total = tx.packages.search(query).total
    query = replace(query, limit=50, offset=chance.randrange(max(total - 49, 1)))
    started = time.perf_counter()
    with catalog.read() as tx:
        page = tx.packages.search(query)
    body = b'{"values":[' + packages_out(page.values, bare=False) + ending(page.total, query.offset, 50)
    took = time.perf_counter() - started
    if page.total != total or len(page.values) != min(50, total) or not body:
        raise RuntimeError(f"{query}: {len(page.values)} of {page.total}, not of {total}")
    return took


class _Undone(Exception):
    pass


def _adding(catalog: Catalog) -> float:
    """Median milliseconds of what stands in the transaction of a publish for the package alone."""
    seconds = []
    for number in range(ADDED):
        one = rows.package(number)
        name, version = PackageName(f"{one.name}-more"), PackageVersion(f"{number}")
        one = replace(one, id=f"{name}-{version}", name=name, version=version, created_at=rows.START * 2)
        one = replace(one, source=OWN_SOURCE)
        try:
            with catalog.write(durable=False) as tx:
                started = time.perf_counter()
                tx.packages.add(one, TARGETS, one.entry())
                seconds.append(time.perf_counter() - started)
                raise _Undone
        except _Undone:
            pass
    return median(seconds) * 1000
