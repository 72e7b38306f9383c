"""What a search finds, on every database, held against a plain Python list of the same packages.

Blocks of the listing are made small, so that a few hundred packages fill, cut and empty many of them.
"""

import itertools
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, insert, select

from builders import NOW, package
from contract.conftest import Database
from otarium.adapters import blocks, listing, migrations, tables
from otarium.domain.delegation import Accepted, SourceFile
from otarium.domain.listed import Listed
from otarium.domain.names import OWN_SOURCE, HardwareId, PackageId, Sha256, SourceName
from otarium.domain.packages import Package, PackageQuery, SortKey
from otarium.domain.roles import TARGETS, Dialect
from otarium.services.ports import Catalog, Transaction

NAMES = [
    "straße",
    "STRASSE",
    "İzmir",
    "ıx",
    "a%b",
    'a"b',
    "a_b",
    "a*b",
    "a-b",
    "ﬀ",
    "ŉ-",
    "ΣΑΣ",
    "n" * 128,
    "a",
]
VERSIONS = ["1", "1-b", "b-1", "İ", "ß", "10%", "v" * 64]
PARTS = [
    "ss",
    "ß",
    "i̇",
    "İ",
    "I",
    "a",
    "%",
    "_",
    '"',
    "*",
    "-",
    "-1",
    "b-",
    "a-b-1",
    "σ",
    "ς",
    "ʼn",
    "ff",
    "ﬀ-",
    "n-",
]
PARTS += ["\1", "\n", "odd", "nn", "nnn-v", "-b-1", "1-", "--", "A%B-10%", "straSSE-1", "\\", "[a]"]
HARDWARE = [HardwareId(one) for one in ("hw", "hw ü", '"', "%")]
SOURCES = [OWN_SOURCE, SourceName("zoo"), SourceName("Alpha")]
SBOM = {"supplyChainInfo": {"vex": {"url": "https://example.com/"}}}


class Model:
    """Everything that was added and not removed."""

    def __init__(self) -> None:
        self.packages: dict[tuple[str, str], Package] = {}

    def matching(self, query: PackageQuery) -> list[Package]:
        found = [one for one in self.packages.values() if matches(one, query)]
        found.sort(key=lambda one: place(one, query), reverse=not query.ascending)
        return found


def place(one: Package, query: PackageQuery) -> tuple[int, str, str]:
    return one.created_at if query.sort_by == "CreatedAt" else 0, one.id, one.source


def matches(one: Package, query: PackageQuery) -> bool:
    return (
        (query.id_contains or "").casefold() in one.id.casefold()
        and (query.name_contains or "").casefold() in one.name.casefold()
        and (not query.sources or one.source in query.sources)
        and query.name in (None, one.name)
        and query.version in (None, one.version)
        and (not query.hardware_ids or bool({*query.hardware_ids} & {*one.hardware_ids}))
        and (not query.hashes or one.content.sha256 in query.hashes)
        and (not query.ids or one.id in query.ids)
        and query.has_sbom in (None, one.has_sbom)
        and not (query.external and one.source == OWN_SOURCE)
    )


def made(chance: random.Random, name: str, version: str, source: SourceName = OWN_SOURCE) -> Package:
    one = package(name, version, source=source, created_at=NOW + chance.randrange(40))
    shared = Sha256(str(chance.randrange(10)) * 64)
    return replace(
        one,
        content=replace(one.content, sha256=shared),
        hardware_ids=tuple(chance.sample(HARDWARE, chance.randrange(4))),
        meta=SBOM if chance.random() < 0.3 else None,
        revision=0 if source != OWN_SOURCE else 1,
    )


def listing_of(chance: random.Random, source: SourceName) -> list[Package]:
    """Some ids are what name and version make, others are not."""
    some = chance.sample(list(itertools.product(NAMES, VERSIONS)), 40)
    packages = {one.id: one for one in (made(chance, *names, source) for names in some)}
    for number in range(10):
        name, version = chance.choice(NAMES), chance.choice([*VERSIONS, ""])
        odd = replace(made(chance, name, version, source), id=PackageId(f"odd/{number} ß-{number % 3}"))
        packages[odd.id] = odd
    return list(packages.values())


def take_over(tx: Transaction, model: Model, source: SourceName, packages: list[Package]) -> None:
    file = SourceFile(source, Dialect.UPTANE, 1, "", "", 0, 0, NOW + 10**6, 0, False)
    tx.sources.list_packages(Accepted(file, b"", tuple(packages), (), {}))
    forget(model, source)
    model.packages |= {(one.id, one.source): one for one in packages}


def forget(model: Model, source: SourceName) -> None:
    model.packages = {key: one for key, one in model.packages.items() if one.source != source}


def change(tx: Transaction, model: Model, chance: random.Random) -> None:
    """Any one change that a repository knows."""
    own = [one for one in model.packages.values() if one.source == OWN_SOURCE]
    kind = chance.choice(["add"] * 12 + ["edit"] * 4 + ["remove"] * 4 + ["take over", "unlist"])
    source = chance.choice(SOURCES[1:])
    if kind == "take over":
        take_over(tx, model, source, listing_of(chance, source))
    elif kind == "unlist":
        tx.sources.unlist_packages(source)
        forget(model, source)
    elif kind == "add" or not own:
        one = made(chance, chance.choice(NAMES), chance.choice(VERSIONS))
        if (one.id, one.source) not in model.packages:
            tx.packages.add(one, TARGETS, one.entry())
            model.packages[one.id, one.source] = one
    elif kind == "edit":
        one = chance.choice(own)
        one = replace(one, hardware_ids=made(chance, "x", "1").hardware_ids, comment=chance.choice(PARTS))
        one = replace(one, meta=None if one.meta else SBOM)
        tx.packages.replace(one, one.entry())
        model.packages[one.id, one.source] = one
    else:
        one = chance.choice(own)
        tx.packages.remove(one, 1, NOW)
        del model.packages[one.id, one.source]


LARGER_NUMBERS = {15: 1_000, 30: 100_000}
"""By round of changes: then new words need 2 and 4 bytes each."""


def number_words_from(url: str, number: int) -> None:
    engine = create_engine(url)
    values = {"number": number, "kind": "version", "digest": str(number).encode(), "word": "", "folded": ""}
    with engine.begin() as connection:
        connection.execute(insert(tables.words), values)
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT setval('words_number_seq', {number})")
    engine.dispose()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Catalog, Model]]:
    """What 500 changes leave, one change to a transaction or many."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("search") / "catalog.sqlite"
        database = Database(f"sqlite:///{path}", path)
    else:
        url = request.getfixturevalue("cluster").new_database()
        database = Database(url.replace("postgresql://", "postgresql+psycopg://"), None)
    migrations.upgrade(database.url)
    catalog, model, chance = database.catalog(), Model(), random.Random(7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "MOST", 8)
        patch.setattr(blocks, "FILL", 5)
        with catalog.write() as tx:
            tx.create_repository(0)
        for round_ in range(50):
            if round_ in LARGER_NUMBERS:
                number_words_from(database.url, LARGER_NUMBERS[round_])
            with catalog.write(durable=False) as tx:
                for _ in range(10):
                    change(tx, model, chance)
                    check(tx, model, PackageQuery(limit=0))
        assert len(model.packages) > 100
        assert widths(database.url) == {1, 2, 4}
        yield catalog, model
    catalog.close()


def widths(url: str) -> set[int]:
    """Bytes of a number, in all columns of all blocks."""
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(select(tables.listing.c.size, *map(tables.listing.c.get, blocks.COLUMNS)))
        found = {len(data) // size for size, *columns in rows for data in columns}
    engine.dispose()
    return found


def shown(values: list[Listed]) -> list[Any]:
    return [(source, json.loads(b"{%s}" % members)) for source, members in values]


def expected(packages: list[Package]) -> list[Any]:
    return [
        (
            one.source,
            {
                "name": one.name,
                "version": one.version,
                "packageId": one.id,
                "size": one.content.length,
                "hashes": {"sha256": one.content.sha256},
                "pkgType": one.content.format,
                "hardwareIds": list(one.hardware_ids),
                "createdAt": one_time(one.created_at),
                "uri": one.uri,
                "proprietaryMeta": one.meta,
                "comment": one.comment,
            },
        )
        for one in packages
    ]


def one_time(seconds: int) -> str:
    assert NOW == 1_800_000_000 and seconds - NOW < 60
    return f"2027-01-15T08:00:{seconds - NOW:02}Z"


def check(tx: Transaction, model: Model, query: PackageQuery) -> None:
    found, page = model.matching(query), tx.packages.search(query)
    assert page.total == len(found)
    assert shown(page.values) == expected(found[query.offset : query.offset + query.limit])


def walked(catalog: Catalog, query: PackageQuery, size: int) -> list[Any]:
    """All from the offset on, in chunks of a transaction each."""
    with catalog.read() as tx:
        total, cursor = tx.packages.count(query)
    values: list[Listed] = []
    skip = query.offset
    while True:
        with catalog.read() as tx:
            chunk, cursor = tx.packages.chunk(query, cursor, skip, size)
        if not chunk:
            assert total == len(values) + min(query.offset, total)
            return shown(values)
        values, skip = values + chunk, 0


SEVERAL = {"max_size": 3, "unique": True}
QUERIES = st.builds(
    PackageQuery,
    offset=st.just(0) | st.integers(0, 60),
    limit=st.integers(0, 60),
    id_contains=st.none() | st.sampled_from([*PARTS, *NAMES]),
    name_contains=st.none() | st.sampled_from([*PARTS, *NAMES]),
    sources=st.lists(st.sampled_from([*SOURCES, SourceName("none")]), **SEVERAL).map(tuple),
    name=st.none() | st.sampled_from([*NAMES, "none"]),
    version=st.none() | st.sampled_from([*VERSIONS, "none"]),
    hardware_ids=st.lists(st.sampled_from([*HARDWARE, "none"]), **SEVERAL).map(tuple),
    hashes=st.lists(st.integers(0, 10).map(lambda one: Sha256(f"{one:x}" * 64)), **SEVERAL).map(tuple),
    ids=st.lists(st.sampled_from(["a-1", "a-b-1", "odd/1 ß-1", "none"]).map(PackageId), **SEVERAL).map(tuple),
    has_sbom=st.none() | st.booleans(),
    external=st.booleans(),
    sort_by=st.sampled_from(["CreatedAt", "Filename"]),
    ascending=st.booleans(),
)
BLANK = PackageQuery()
FIELDS = [name for name in PackageQuery.__slots__ if name not in ("offset", "limit", "sort_by", "ascending")]
BEYOND_TIMES = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@settings(max_examples=400, derandomize=True, suppress_health_check=BEYOND_TIMES)
@given(query=QUERIES, used=st.sets(st.sampled_from(FIELDS), max_size=4))
def test_any_filters_find_what_a_plain_list_would(
    filled: tuple[Catalog, Model], query: PackageQuery, used: set[str]
) -> None:
    catalog, model = filled
    query = replace(query, **{name: getattr(BLANK, name) for name in FIELDS if name not in used})
    with catalog.read() as tx:
        check(tx, model, query)


@settings(max_examples=60, derandomize=True, suppress_health_check=BEYOND_TIMES)
@given(query=QUERIES, used=st.sets(st.sampled_from(FIELDS), max_size=1), size=st.integers(1, 40))
def test_a_walk_finds_what_a_page_as_long_would(
    filled: tuple[Catalog, Model], query: PackageQuery, used: set[str], size: int
) -> None:
    catalog, model = filled
    query = replace(query, **{name: getattr(BLANK, name) for name in FIELDS if name not in used})
    assert walked(catalog, query, size) == expected(model.matching(query)[query.offset :])


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("where", ["id_contains", "name_contains"])
def test_every_part_is_taken_literally_and_in_any_case(
    filled: tuple[Catalog, Model], where: str, part: str
) -> None:
    catalog, model = filled
    for text in (part, part.upper(), part.lower(), part.swapcase()):
        with catalog.read() as tx:
            check(tx, model, replace(PackageQuery(sort_by="Filename"), **{where: text}))


def test_what_is_newer_than_a_walk_is_not_in_it(catalog: Catalog) -> None:
    with catalog.write() as tx:
        for number in range(0, 40, 2):
            one = package("n", f"{number:02}", created_at=NOW)
            tx.packages.add(one, TARGETS, one.entry())
    for ascending in (True, False):
        query = PackageQuery(ascending=ascending)
        with catalog.read() as tx:
            before = tx.packages.search(query).values
            _, cursor = tx.packages.count(query)
            first, cursor = tx.packages.chunk(query, cursor, 0, 7)
        with catalog.write() as tx:
            for number in range(1, 40, 2):
                one = package("n", f"{number:02}-{ascending}", created_at=NOW)
                tx.packages.add(one, TARGETS, one.entry())
        with catalog.read() as tx:
            rest, _ = tx.packages.chunk(query, cursor, 0, 100)
        assert [*first, *rest] == before


def test_the_last_package_that_was_handed_out_may_go(catalog: Catalog) -> None:
    packages = [package("n", f"{number}") for number in range(6)]
    with catalog.write() as tx:
        for one in packages:
            tx.packages.add(one, TARGETS, one.entry())
    for ascending, left in ((True, packages[3:]), (False, packages[:2][::-1])):
        query = PackageQuery(ascending=ascending)
        with catalog.write() as tx:
            _, cursor = tx.packages.count(query)
            handed, cursor = tx.packages.chunk(query, cursor, 0, 3)
            gone = next(one for one in packages if one.id == json.loads(b"{%s}" % handed[-1][1])["packageId"])
            tx.packages.remove(gone, 1, NOW)
            rest, _ = tx.packages.chunk(query, cursor, 0, 9)
        assert shown(rest) == expected(left)


@pytest.mark.parametrize("sorting", ["CreatedAt", "Filename"])
@pytest.mark.parametrize(("ascending", "gone", "left"), [(True, 1100, [1100, 1101]), (False, 1500, [])])
def test_all_that_was_handed_out_may_go_with_its_blocks(
    catalog: Catalog, sorting: SortKey, ascending: bool, gone: int, left: Sequence[int]
) -> None:
    packages = [package("n", f"{number:04}") for number in range(1500)]
    query = PackageQuery(ascending=ascending, sort_by=sorting)
    with catalog.write() as tx:
        for one in packages:
            tx.packages.add(one, TARGETS, one.entry())
        _, cursor = tx.packages.count(query)
        _, cursor = tx.packages.chunk(query, cursor, 0, 9)
    with catalog.write() as tx:
        for one in packages[:gone]:
            tx.packages.remove(one, 1, NOW)
    with catalog.read() as tx:
        rest, _ = tx.packages.chunk(query, cursor, 0, 2)
    assert shown(rest) == expected([packages[number] for number in left])


def test_what_searches_read_agrees_with_the_rows_after_any_changes(filled: tuple[Catalog, Model]) -> None:
    catalog, _ = filled
    with catalog.read() as tx:
        assert list(tx.searching.differences()) == []


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE packages SET listed = entry_uptane WHERE package_id = 'n-3'",
        "UPDATE packages SET name_word = version_word WHERE package_id = 'n-3'",
        "UPDATE packages SET created_at = created_at + 1000 WHERE package_id = 'n-3'",
        "DELETE FROM packages WHERE package_id = 'n-3'",
        "UPDATE words SET folded = 'x' WHERE word = 'n'",
        "DELETE FROM words WHERE word = '3'",
        "UPDATE listing SET size = size - 1 WHERE sorting = 'CreatedAt'",
        "UPDATE listing SET traits = names WHERE sorting = 'Filename'",
        "DELETE FROM listing WHERE sorting = 'Filename'",
        "UPDATE listing SET package_id = 'n-3' WHERE sorting = 'Filename'",
    ],
)
def test_search_that_was_damaged_is_found_out_and_made_anew(
    catalog: Catalog, database: Database, damage: str
) -> None:
    packages = [package("n", f"{number}", created_at=NOW + number) for number in range(6)]
    with catalog.write() as tx:
        for one in packages:
            tx.packages.add(one, TARGETS, one.entry())
    engine = create_engine(database.url)
    with engine.begin() as connection:
        assert connection.exec_driver_sql(damage).rowcount > 0
    engine.dispose()
    with catalog.read() as tx:
        assert list(tx.searching.differences())
    with catalog.write() as tx:
        tx.searching.rebuild()
    with catalog.read() as tx:
        assert list(tx.searching.differences()) == []
        found = tx.packages.search(PackageQuery(name_contains="N", ascending=True)).values
    ids = [json.loads(b"{%s}" % members)["packageId"] for _, members in found]
    assert [one for one in ids if one != "n-3"] == ["n-0", "n-1", "n-2", "n-4", "n-5"]
    assert ("n-3" in ids) == ("DELETE FROM packages" not in damage)


@pytest.mark.parametrize("seed", range(6))
def test_blocks_agree_with_the_rows_whatever_one_transaction_did_and_undid(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(blocks, "MOST", 12)
    monkeypatch.setattr(blocks, "FILL", 8)
    monkeypatch.setattr(listing, "_FEW", 3)
    dice, here = random.Random(seed), dict[PackageId, Package]()
    for _ in range(30):
        with catalog.write() as tx:
            for _ in range(dice.choice((1, 1, 1, 2, 6))):
                before = dict(here)
                try:
                    with tx.savepoint():
                        for _ in range(dice.choice((1, 1, 2))):
                            _change(tx, here, dice)
                        if dice.random() < 0.3:
                            raise ZeroDivisionError
                except ZeroDivisionError:
                    here = before
        with catalog.read() as tx:
            assert list(tx.searching.differences()) == []
            found = tx.packages.search(PackageQuery(sort_by="Filename", ascending=True, limit=100)).values
            assert shown(found) == expected(sorted(here.values(), key=lambda one: one.id))


def _change(tx: Transaction, here: dict[PackageId, Package], dice: random.Random) -> None:
    """Add, edit, remove, or remove and add again."""
    one = package("n", f"{dice.randrange(60):02}", created_at=NOW + dice.randrange(3))
    known = here.get(one.id)
    if known is None:
        tx.packages.add(one, TARGETS, one.entry())
        here[one.id] = one
        return
    if dice.random() < 0.3:
        edited = replace(known, comment=str(dice.random()), hardware_ids=(HardwareId(f"hw{dice.random()}"),))
        tx.packages.replace(edited, edited.entry())
        here[one.id] = edited
        return
    tx.packages.remove(here.pop(one.id), 1, NOW)
    if dice.random() < 0.5:
        tx.packages.add(one, TARGETS, one.entry())
        here[one.id] = one
