"""A large repository's packages, straight into a catalog's tables: a million in minutes, not over HTTP.

2,000 names of 500 versions each; every package is for one to four of seven hardware ids, each tenth has an
SBOM, each twentieth is of one of four external sources, and each fourth shares its bytes with others. Nothing
is signed: what searches and writes, and not what serves metadata, can stand on it.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from itertools import islice

from sqlalchemy import Connection, create_engine, event, insert

from otarium.adapters import listing, migrations, tables
from otarium.adapters.rows_packages import package_values
from otarium.adapters.words import numbers_of
from otarium.domain.names import (
    OWN_SOURCE,
    HardwareId,
    PackageId,
    PackageName,
    PackageVersion,
    Sha256,
    SourceName,
)
from otarium.domain.packages import Content, Package, TargetFormat
from otarium.domain.roles import TARGETS

NAMES = 2_000
KINDS = ("firmware", "application", "bootloader", "configuration", "container")
HARDWARE = tuple(
    HardwareId(one)
    for one in (
        *("verdin-imx8mp", "apalis-imx8", "colibri-imx7d", "docker-compose"),
        *("verdin-am62", "verdin-imx8mm", "aquila-am69"),
    )
)
SETS = 28
SBOM = {"supplyChainInfo": {"cyclonedx": {"url": "https://packages.example.com/sbom.json"}}}
START = 1_700_000_000
AT_ONCE = 5_000


def package(number: int, names: int = NAMES) -> Package:
    """Names take turns, so versions of one are spread over all of time."""
    turn, one = divmod(number, names)
    name = PackageName(f"{KINDS[one % len(KINDS)]}-{one // len(KINDS):05d}")
    version = PackageVersion(f"{turn // 50 + 1}.{turn % 50}.0")
    hardware_ids = tuple(HARDWARE[(number + step) % len(HARDWARE)] for step in range(number % SETS % 4 + 1))
    shared = number % 4 == 0
    sha256 = Sha256(hashlib.sha256(f"{number // 64 if shared else -number}".encode()).hexdigest())
    created = START + number // 3
    return Package(
        id=PackageId.of(name, version),
        name=name,
        version=version,
        content=Content(TargetFormat.BINARY, sha256, 1024 + number, frozenset(hardware_ids)),
        hardware_ids=hardware_ids,
        uri=f"https://packages.example.com/{sha256[:16]}",
        comment=None,
        meta=SBOM if number % 10 == 7 else None,
        created_at=created,
        updated_at=created,
        revision=number + 1,
        source=OWN_SOURCE if number % 20 else SourceName(f"feed-{number // 20 % 4}"),
    )


def fill(url: str, packages: int, names: int = NAMES) -> None:
    """Make the schema of an empty database and that many packages in it."""
    migrations.upgrade(url)
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _hasty)
    made = (package(number, names) for number in range(packages))
    with engine.begin() as connection:
        insert_all(connection, made)
        counters = {"root": 0, "targets": 0, "snapshot": 0, "timestamp": 0, "kept_bytes": 0}
        row = {"namespace": "default", "created_at": START, "revision": packages, **counters}
        connection.execute(insert(tables.repository), row)
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("VACUUM ANALYZE" if engine.dialect.name == "postgresql" else "ANALYZE")
    engine.dispose()


def _hasty(connection: sqlite3.Connection, _: object) -> None:
    """Indexes are written in any order, so most of them should fit into memory."""
    for pragma in ("journal_mode=WAL", "synchronous=OFF", "cache_size=-524288"):
        connection.execute(f"PRAGMA {pragma}")


def insert_all(
    connection: Connection,
    packages: Iterator[Package],
    shelf_of: Callable[[Package], str] = lambda _: TARGETS,
) -> None:
    """With what lists and searches read of them."""
    while some := list(islice(packages, AT_ONCE)):
        numbered = zip(some, numbers_of(connection, some), strict=True)
        values = [package_values(one, shelf_of(one), one.entry(), numbers) for one, numbers in numbered]
        connection.execute(insert(tables.packages), values)
    listing.rebuild(connection)
