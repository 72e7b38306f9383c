"""What every catalog promises of signed files."""

from dataclasses import replace

import pytest
from sqlalchemy import create_engine, text

from builders import LIFETIMES, NOW, Keys, entries, package, release
from contract.conftest import Database
from otarium.domain.feed import FEED
from otarium.domain.names import PackageName
from otarium.domain.release import Delegated, Release, with_feed
from otarium.domain.roles import TARGETS, Dialect
from otarium.domain.shelves import NamedShelf, StatedShelf, delegations, role_of, stated
from otarium.services.ports import Catalog

ODD = StatedShelf.of(NamedShelf("p-0001", "p-0001", 0, (PackageName("é"), PackageName("b"))))
DELEGATIONS = delegations([ODD], (), 1)
OTHERS = {Dialect.UPTANE: delegations([], (), 1), Dialect.TUF: DELEGATIONS}
MARKS = {'"delegations":{': ',"expires":"', '"meta":{': ',"targets.json":', '"targets":{': {}}
FILES = {
    "packages": release(package(meta={"k": "é\n"}), package("b")),
    "marks": release(package(meta=MARKS), package(',"expires":"')),
    "delegations": release(delegated=Delegated(dict.fromkeys(Dialect, DELEGATIONS))),
    "delegations of one dialect": release(package(), delegated=Delegated(OTHERS)),
    "shelves": release(package(), shelves=dict.fromkeys(["p-0001", "p-0002"], entries(package("b")))),
}


def test_a_version_is_given_once_per_key(catalog: Catalog) -> None:
    made = release(package())
    with catalog.write() as tx:
        tx.roles.save(made, None, 3)
    with pytest.raises(Exception, match=r"UNIQUE|unique"), catalog.write() as tx:
        tx.roles.save(made, None, 3)


@pytest.mark.parametrize("made", FILES.values(), ids=FILES.keys())
def test_signed_files_come_back_byte_for_byte(catalog: Catalog, made: Release) -> None:
    with catalog.write() as tx:
        tx.roles.save(made, None, 3)
    with catalog.read() as tx:
        for file in made.files():
            assert tx.roles.file(file.role, file.version) == file
        assert tx.roles.counters() == made.counters
        assert tx.roles.roots() == [made.root]


@pytest.mark.parametrize("large", ["packages", "delegations", "lines"])
def test_what_is_large_is_stored_once_for_both_dialects(
    catalog: Catalog, database: Database, large: str
) -> None:
    names = [PackageName(f"name-{number}") for number in range(500)]
    roles = [role_of(number) for number in range(len(names))]
    pages = [StatedShelf(role, role, 0, *stated([name])) for role, name in zip(roles, names, strict=True)]
    made = {
        "packages": lambda: release(*(package(name) for name in names)),
        "delegations": lambda: release(
            delegated=Delegated(dict.fromkeys(Dialect, delegations(pages, (), 1)))
        ),
        "lines": lambda: release(shelves={page.role: () for page in pages}),
    }[large]()
    with catalog.write() as tx:
        tx.roles.save(made, None, 3)
    stored = "SELECT sum(length(uptane) + length(tuf) + length(shared_tail)) FROM role_files"
    with create_engine(database.url).connect() as connection:
        size = connection.execute(text(f"{stored} WHERE role IN ('targets', 'snapshot')")).scalar_one()
    files = (made.targets, made.snapshot)
    assert size < 0.55 * sum(file.uptane.length + file.tuf.length for file in files)


def test_files_whose_ends_were_stored_once_are_read(catalog: Catalog, database: Database) -> None:
    """As they were until parts in the middle could be."""
    made = release(package())
    with catalog.write() as tx:
        tx.roles.save(made, None, 3)
    tail = made.targets.tuf.raw[-100:]
    values = {"tail": tail, "uptane": made.targets.uptane.raw[:-100], "tuf": made.targets.tuf.raw[:-100]}
    stated = "UPDATE role_files SET uptane = :uptane, tuf = :tuf, shared_tail = :tail WHERE role = 'targets'"
    with create_engine(database.url).begin() as connection:
        connection.execute(text(stated), values)
    with catalog.read() as tx:
        assert tx.roles.file(TARGETS, 1) == made.targets


def test_old_bytes_are_collected_but_their_record_stays(catalog: Catalog) -> None:
    made = None
    for version in range(1, 8):
        previous, made = made, release(package(version=str(version)), previous=made, now=NOW + version)
        with catalog.write() as tx:
            tx.roles.save(made, previous, 3)
    with catalog.write() as tx:
        tx.roles.collect(NOW + 100, cap_bytes=10**9)
    with catalog.read() as tx:
        kept = {(role, version) for role, version, file in tx.roles.records() if file is not None}
        known = {(role, version) for role, version, _ in tx.roles.records()}
    assert kept == {("root", 1)} | {(r, v) for r in ("targets", "snapshot", "timestamp") for v in range(4, 8)}
    assert len(known) == 22


def test_of_the_feed_the_newest_bytes_alone_are_kept(catalog: Catalog) -> None:
    keys = Keys()
    made = release(package(), keys=keys)
    with catalog.write() as tx:
        tx.roles.save(made, None, 3)
        assert tx.roles.newest(FEED) is None
    for number in range(1, 4):
        previous, now = made, NOW + number
        made = with_feed(previous, entries(package()), made.counters, now, LIFETIMES, keys.sign)
        with catalog.write() as tx:
            tx.roles.save(made, previous, 3)
            tx.roles.collect(NOW - 3600, cap_bytes=10**9)
    with catalog.read() as tx:
        files = [(version, file) for role, version, file in tx.roles.records() if role == FEED]
        assert files == [(2, None), (3, None), (4, made.feed)]
        assert tx.roles.newest(FEED) == (4, NOW + 3)
        assert tx.roles.counters() == replace(made.counters, targets=4)
        assert tx.roles.file("timestamp", 1) == made.timestamp


def test_the_cap_collects_young_bytes_too_but_never_the_newest(catalog: Catalog) -> None:
    made = None
    for version in range(1, 8):
        previous, made = made, release(package(version=str(version)), previous=made, now=NOW + version)
        with catalog.write() as tx:
            tx.roles.save(made, previous, 3)
            tx.roles.collect(0, cap_bytes=0)
    with catalog.read() as tx:
        kept = [version for role, version, file in tx.roles.records() if role == TARGETS and file]
    assert kept == [4, 5, 6, 7]
