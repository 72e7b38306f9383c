"""Where packages go as a repository grows: off targets.json, onto shelves and pages; and what is refused."""

import json
from collections import Counter
from collections.abc import Callable

import pytest

from builders import NOW, package
from otarium.domain.crowding import MOST_MATCHING
from otarium.domain.errors import Conflict, TooLarge
from otarium.domain.names import PackageId, PackageName
from otarium.domain.packages import Package
from otarium.domain.roles import TARGETS, RoleFile, SignedRole
from otarium.domain.shelves import ROLE_BYTES, ShelfLimits, delegations, size_of
from otarium.services.ports import Catalog, Transaction
from otarium.services.shelving import Shelving

Growing = Callable[..., "Shelf"]


class Shelf:
    """A catalog and how it is laid out."""

    def __init__(self, catalog: Catalog, **limits: int) -> None:
        self.catalog = catalog
        self.shelving = Shelving(ShelfLimits(**limits))  # type: ignore[arg-type]

    def put(self, *names: str, **more: object) -> frozenset[str]:
        """Adds `name-version`s as one change; the roles to sign."""
        signs = frozenset[str]()
        with self.catalog.write() as tx, tx.savepoint():
            for one in names:
                name, _, version = one.rpartition("-")
                made = package(name, version, **more)
                role, touched = self.shelving.put(tx, made.name, made.id, made.entry())
                tx.packages.add(made, role, made.entry())
                signs |= touched
        self.check()
        return signs

    def take(self, name: str, version: str) -> frozenset[str]:
        made = package(name, version)
        with self.catalog.write() as tx:
            signs = self.shelving.take(tx, made.name, made.id, made.entry())
            tx.packages.remove(made, tx.packages.next_revision(), NOW)
        self.check()
        return signs

    def edit(self, old: Package, new: Package) -> frozenset[str]:
        with self.catalog.write() as tx:
            tx.packages.replace(new, new.entry())
            signs = self.shelving.resize(tx, new.name, new.id, old.entry(), new.entry())
        self.check()
        return signs

    def settle(self) -> frozenset[str]:
        with self.catalog.write() as tx:
            signs = self.shelving.settle(tx)
        self.check()
        return signs

    @property
    def layout(self) -> dict[str, int]:
        """Packages by role."""
        with self.catalog.read() as tx:
            return dict(Counter(tx.shelves.holding(one.id) for one, _ in tx.packages.every()))

    def where(self, package_id: str) -> str:
        with self.catalog.read() as tx:
            return tx.shelves.holding(PackageId(package_id))

    def paths(self) -> dict[str, list[str]]:
        with self.catalog.read() as tx:
            listed = [json.loads(role.tuf) for role in delegations(tx.shelves.stated(), (), 1).roles]
            return {role["name"]: role["paths"] for role in listed}

    def check(self) -> None:
        """What is counted is what is there."""
        with self.catalog.read() as tx:
            for role in [TARGETS, *(page.role for page in tx.shelves.named())]:
                page, entries = tx.shelves.get(role), tx.shelves.entries(role)
                assert (page.targets, page.bytes) == (len(entries), sum(map(size_of, entries)))
            every = [one.entry() for one, _ in sorted(tx.packages.every(), key=lambda row: row[0].id)]
            assert tx.shelves.every() == every
            assert tx.shelves.total() == (len(every), sum(map(size_of, every)))


@pytest.fixture
def growing(catalog: Catalog) -> Growing:
    return lambda **limits: Shelf(catalog, **limits)


def test_a_small_repository_stands_in_targets_json(growing: Growing) -> None:
    shelf = growing(first=3)
    assert shelf.put("a-1", "b-1", "a-2") == {TARGETS}
    assert shelf.layout == {TARGETS: 3} and shelf.paths() == {}


def test_every_name_moves_off_in_the_change_that_passes_the_limit(growing: Growing) -> None:
    shelf = growing(first=3)
    shelf.put("a-1", "b-1", "a-2")
    assert shelf.put("c-1") == {TARGETS, "p-0001", "p-0002", "p-0003"}
    assert shelf.layout == {"p-0001": 2, "p-0002": 1, "p-0003": 1}
    assert shelf.paths() == {"p-0001": ["a-*"], "p-0002": ["b-*"], "p-0003": ["c-*"]}


def test_a_known_name_touches_its_shelf_alone_and_a_new_one_targets_json_too(growing: Growing) -> None:
    shelf = growing(first=1)
    shelf.put("a-1", "b-1")
    assert shelf.put("a-2") == {"p-0001"}
    assert shelf.put("c-1") == {TARGETS, "p-0003"}
    assert shelf.take("a", "2") == {"p-0001"}


def test_a_full_shelf_goes_on_on_a_new_page_with_the_same_pattern(growing: Growing) -> None:
    shelf = growing(first=1, page=3)
    shelf.put("a-1", "a-2", "a-3", "a-4")
    assert shelf.layout == {"p-0001": 3, "p-0002": 1}
    assert list(shelf.paths().items()) == [("p-0002", ["a-*"]), ("p-0001", ["a-*"])]
    shelf.take("a", "1")
    shelf.put("a-5", "a-6", "a-7")
    assert shelf.layout == {"p-0001": 2, "p-0002": 3, "p-0003": 1}, "a closed page stays closed"


def test_a_page_that_is_at_most_half_full_becomes_the_newest_once_more(growing: Growing) -> None:
    shelf = growing(first=1, page=4)
    shelf.put(*(f"a-{number}" for number in range(8)), "b-1")
    shelf.take("a", "0")
    shelf.take("a", "1")
    assert shelf.put("a-8") == {TARGETS, "p-0001"}
    assert shelf.layout == {"p-0001": 3, "p-0002": 4, "p-0003": 1}
    assert [role for role in shelf.paths() if role != "p-0003"] == ["p-0001", "p-0002"]
    assert shelf.put("a-9") == {"p-0001"}


def test_an_empty_page_is_delegated_to_no_more_unless_it_is_the_newest(growing: Growing) -> None:
    shelf = growing(first=1, page=2)
    shelf.put("a-1", "a-2", "a-3", "b-1")
    assert shelf.take("a", "1") == {"p-0001"}
    assert shelf.take("a", "2") == {TARGETS, "p-0001"}
    assert shelf.paths() == {"p-0002": ["a-*"], "p-0003": ["b-*"]}
    assert shelf.take("a", "3") == {"p-0002"}
    assert shelf.paths() == {"p-0002": ["a-*"], "p-0003": ["b-*"]}
    with shelf.catalog.write() as tx:
        raw = SignedRole.of(b"", 1)
        tx.shelves.signed([RoleFile(role, 1, 0, 100, raw, raw) for role in ("p-0001", "p-0002", "p-0003")])
        assert sorted(tx.shelves.due(1000, 9)) == ["p-0002", "p-0003"], "nobody is sent to the other"
    assert shelf.put("a-4", "a-5", "a-6") == {TARGETS, "p-0001", "p-0002"}


def test_names_with_turnover_need_no_more_roles_than_their_packages(growing: Growing) -> None:
    shelf = growing(first=1, page=2)
    shelf.put("a-b-1", "app-0")
    for number in range(1, 300):
        shelf.put(f"app-{number}")
        if number >= 3:
            shelf.take("app", str(number - 3))
    assert sum(shelf.layout.values()) == 4
    with shelf.catalog.read() as tx:
        assert len(tx.shelves.delegated()) <= 5, "nor does the snapshot, which names every role for ever"
    assert len(shelf.paths()) <= 4


def test_pages_that_were_emptied_count_no_more_among_the_matching(growing: Growing) -> None:
    shelf = growing(first=1, page=1)
    ids = [f"a-{number}" for number in range(MOST_MATCHING)]
    shelf.put(*ids)
    with pytest.raises(Conflict, match="delete packages"):
        shelf.put("a-one.more")
    for number in range(20):
        shelf.take("a", str(number))
    shelf.put("a-b-1")
    assert len(shelf.paths()) == 13


def test_a_name_that_comes_back_continues_where_it_was(growing: Growing) -> None:
    shelf = growing(first=1)
    shelf.put("a-1", "b-1")
    shelf.take("b", "1")
    assert shelf.put("b-1") == {"p-0002"}
    assert shelf.where("b-1") == "p-0002"


def test_late_names_share_the_shelf_with_the_fewest_targets(growing: Growing) -> None:
    shelf = growing(first=1, own=3, page=4)
    shelf.put("a-1", "a-2", "b-1", "c-1", "c-2")
    assert shelf.put("d-1") == {TARGETS, "p-0002"}
    assert shelf.paths()["p-0002"] == ["b-*", "d-*"]
    shelf.put("e-1")
    assert shelf.where("e-1") == "p-0001", "the first among equals"
    shelf.put("d-2", "d-3", "b-2")
    assert shelf.paths()["p-0004"] == ["b-*", "d-*"], "a page takes over all names of its shelf"
    assert shelf.where("b-2") == "p-0004"


def test_a_page_closes_by_bytes_as_well(growing: Growing) -> None:
    shelf = growing(first=1)
    heavy = {"note": "x" * 16_000}
    shelf.put(*(f"a-{number}" for number in range(260)), meta=heavy)
    assert len(shelf.layout) == 2


def test_an_edit_that_would_make_a_page_too_large_moves_the_package_on(growing: Growing) -> None:
    shelf = growing(first=1, page=1000)
    small, heavy = package("a", "0"), package("a", "0", meta={"note": "y" * 1_100_000})
    shelf.put("a-0", "b-0")
    shelf.put(*(f"a-{number}" for number in range(1, 245)), meta={"note": "x" * 16_000})
    assert shelf.layout["p-0001"] == 245
    assert shelf.edit(small, heavy) == {TARGETS, "p-0001", "p-0003"}
    assert shelf.where("a-0") == "p-0003"


def test_an_edit_that_makes_targets_json_too_large_moves_everything_off(growing: Growing) -> None:
    shelf = growing()
    small, heavy = package("a", "0"), package("a", "0", meta={"note": "y" * 1_100_000})
    shelf.put("a-0", "b-0")
    shelf.put(*(f"a-{number}" for number in range(1, 245)), meta={"note": "x" * 16_000})
    assert shelf.layout == {TARGETS: 246}
    assert shelf.edit(small, heavy) == {TARGETS, "p-0001", "p-0002", "p-0003"}
    assert shelf.layout["p-0003"] == 1, "b-0 alone"


def test_names_that_begin_alike_are_refused_before_a_client_gives_up(growing: Growing) -> None:
    shelf = growing(first=1)
    names = ["-".join(["a"] * depth) for depth in range(1, MOST_MATCHING + 2)]
    shelf.put(*(f"{name}-1" for name in names[:-1]))
    before = shelf.layout
    with pytest.raises(Conflict, match=r"33 roles for 'a-a.* Use another name"):
        shelf.put(f"{names[-1]}-1")
    assert shelf.layout == before
    # A version that spells out the longer names would be looked for in all of their files.
    with pytest.raises(Conflict):
        shelf.put("b-1", f"{names[-2]}-a-1")
    shelf.put("b-1")


def test_pages_are_counted_too(growing: Growing) -> None:
    shelf = growing(first=1, page=1)
    shelf.put(*(f"a-{number}" for number in range(MOST_MATCHING)))
    with pytest.raises(Conflict, match="33 roles"):
        shelf.put("a-one.more")
    shelf.put("b-1")


def test_a_new_short_name_may_not_hide_what_is_there_already(growing: Growing) -> None:
    shelf = growing(first=1, page=1)
    shelf.put(*(f"a-b-{number}" for number in range(MOST_MATCHING)))
    with pytest.raises(Conflict, match="'a-b-"):
        shelf.put("a-1")


def test_flat_keeps_everything_in_targets_json_up_to_what_clients_read(growing: Growing) -> None:
    shelf = growing(first=1, flat=True)
    heavy = {"note": "x" * 16_000}
    fits = ROLE_BYTES // size_of(package("a", "100", meta=heavy).entry())
    shelf.put(*(f"a-{number}" for number in range(100, 100 + fits)), meta=heavy)
    assert shelf.layout == {TARGETS: fits} and fits > 300
    with pytest.raises(TooLarge, match="OTARIUM_LAYOUT=shelves"):
        shelf.put("b-100", meta=heavy)
    with pytest.raises(TooLarge):
        shelf.edit(package("a", "100", meta=heavy), package("a", "100", meta={"note": "x" * 32_000}))


def test_another_layout_is_taken_up_as_a_whole(growing: Growing) -> None:
    growing(first=100).put("a-1", "a-2", "b-1")
    assert growing(first=2).settle() == {TARGETS, "p-0001", "p-0002"}
    assert growing(first=2).settle() == frozenset()
    flat = growing(first=2, flat=True)
    assert flat.settle() == {TARGETS, "p-0001", "p-0002"}, "what they list would come back some day"
    assert flat.layout == {TARGETS: 3} and flat.settle() == frozenset()
    assert flat.put("c-1") == {TARGETS}
    assert growing(first=100).settle() == {TARGETS, "p-0001", "p-0002", "p-0003"}, "once spread, for ever"
    assert growing().layout == {"p-0001": 2, "p-0002": 1, "p-0003": 1}


def test_an_empty_repository_that_was_flat_delegates_to_its_shelves_again(growing: Growing) -> None:
    growing(first=1).put("a-1", "b-1")
    flat = growing(flat=True)
    flat.settle()
    flat.take("a", "1")
    flat.take("b", "1")
    shelf = growing(first=1)
    assert shelf.settle() == {TARGETS}
    assert shelf.put("a-2") == {"p-0001"}
    assert shelf.settle() == frozenset()


def test_shelves_are_due_at_half_of_their_life_oldest_first(growing: Growing) -> None:
    shelf = growing(first=1)
    shelf.put("a-1", "b-1", "c-1")

    def signed(tx: Transaction, role: str, at: int) -> None:
        raw = SignedRole.of(b"", 1)
        tx.shelves.signed([RoleFile(role, 1, at, at + 100, raw, raw)])

    with shelf.catalog.write() as tx:
        for role, at in (("p-0001", 20), ("p-0002", 10), ("p-0003", 30)):
            signed(tx, role, at)
        assert [tx.shelves.due(now, 9) for now in (59, 60, 70)] == [[], ["p-0002"], ["p-0002", "p-0001"]]
        assert tx.shelves.due(1000, 2) == ["p-0002", "p-0001"]


def test_pages_are_those_of_shelves_that_names_stand_on(growing: Growing) -> None:
    shelf = growing(first=1, own=2, page=1)
    shelf.put("a-1", "b-1", "a-2", "c-1")
    with shelf.catalog.read() as tx:
        assert tx.shelves.mates(PackageName("c")) == ["b", "c"]
        assert [tx.shelves.pages_of(names) for names in ([], ["none"], ["a"], ["b", "c"])] == [0, 0, 2, 2]
        assert tx.shelves.pages_of([*(f"none{n}" for n in range(1200)), "a", "b"]) == 4
        assert tx.shelves.ids(PackageName("a")) == ["a-1", "a-2"]
