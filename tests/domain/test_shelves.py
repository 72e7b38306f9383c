"""Patterns of shelves mean the same to every client, and nothing that hides a package is let through."""

import fnmatch
import json
import random
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.names import NAMES, VERSION
from domain.test_patterns import c_locale, device_matches
from judges import tuf_js
from otarium.domain import patterns
from otarium.domain.crowding import MOST_MATCHING, Crowding, crowded
from otarium.domain.errors import Invalid
from otarium.domain.names import PackageId, PackageName, PackageVersion
from otarium.domain.roles import TARGETS
from otarium.domain.shelves import (
    NamedShelf,
    Shelf,
    StatedShelf,
    delegations,
    is_exact,
    is_shelf,
    pattern_of,
    role_of,
)

MINIMATCH = """
const { minimatch } = require('minimatch');
const pairs = JSON.parse(require('fs').readFileSync(0, 'utf8'));
console.log(JSON.stringify(pairs.map(([pattern, name]) => minimatch(name, pattern))));
"""
"""tuf-js matches with minimatch and no options."""


def minimatch(pairs: list[tuple[str, str]]) -> list[bool]:
    tuf_js.prepare()
    done = subprocess.run(
        [tuf_js.node(), "-e", MINIMATCH],
        input=json.dumps(pairs),
        cwd=tuf_js.HOME,
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[bool] = json.loads(done.stdout)
    return found


def python_tuf(pattern: str, name: str) -> bool:
    """As python-tuf does: segment by segment."""
    parts, names = pattern.split("/"), name.split("/")
    return len(parts) == len(names) and all(map(fnmatch.fnmatchcase, names, parts))


LETTERS = "ab-./ !*?[](){},#\\^$|+@~'\"é日1"


def made_up(kind: type[PackageName] | type[PackageVersion], chance: random.Random) -> str:
    """One that the rules allow."""
    while True:
        try:
            return kind.parse("".join(chance.choices(LETTERS, k=chance.randint(1, 10))))
        except Invalid:
            continue


@pytest.mark.parametrize("seed", range(5))
def test_every_client_finds_a_package_by_the_pattern_of_its_name(seed: int) -> None:
    chance = random.Random(seed)
    named = [(made_up(PackageName, chance), made_up(PackageVersion, chance)) for _ in range(4000)]
    pairs = [(pattern_of(PackageName(name)), f"{name}-{version}") for name, version in named]
    in_js = minimatch(pairs)
    with c_locale():
        for pair, js in zip(pairs, in_js, strict=True):
            assert js and device_matches(*pair) and patterns.matches(*pair) and python_tuf(*pair), pair


def test_an_exact_pattern_matches_only_what_starts_with_the_name() -> None:
    chance = random.Random(0)
    names = [made_up(PackageName, chance)[:3].strip(" /") or "a" for _ in range(4000)]
    exact = [name for name in names if is_exact(PackageName(name))]
    assert 1000 < len(exact) < len(names)
    cases = [(name, f"{chance.choice(names)}-{made_up(PackageVersion, chance)}") for name in exact]
    pairs = [(pattern_of(PackageName(name)), package_id) for name, package_id in cases]
    in_js = minimatch(pairs)
    with c_locale():
        for (name, package_id), pair, js in zip(cases, pairs, in_js, strict=True):
            starts = package_id.startswith(f"{name}-")
            assert device_matches(*pair) == starts, pair
            # TUF clients match fewer: no star of theirs goes beyond a slash.
            assert starts or not (js or python_tuf(*pair)), pair
    assert any(package_id.startswith(f"{name}-") for name, package_id in cases)


def test_odd_names_of_every_script_have_patterns_that_match_them() -> None:
    pairs = [(pattern_of(PackageName(name)), f"{name}-{VERSION}") for name in NAMES]
    assert all(minimatch(pairs))
    with c_locale():
        assert all(device_matches(*pair) and python_tuf(*pair) for pair in pairs)


def shelf_of(name: str, number: int, pages: int = 1) -> list[NamedShelf]:
    first = role_of(number)
    return [
        NamedShelf(first if page == 0 else role_of(number * 100 + page), first, page, (PackageName(name),))
        for page in range(pages)
    ]


def test_longest_names_come_first_and_of_a_name_its_newest_page() -> None:
    pages = [*shelf_of("a", 1, 3), *shelf_of("a-b-c", 2), *shelf_of("a-b", 3)]
    listed = [json.loads(role.tuf) for role in delegations(map(StatedShelf.of, pages), (), 1).roles]
    assert [one["name"] for one in listed] == ["p-0002", "p-0003", "p-0066", "p-0065", "p-0001"]
    assert [one["paths"] for one in listed] == [["a-b-c-*"], ["a-b-*"], ["a-*"], ["a-*"], ["a-*"]]
    assert not any(one["terminating"] for one in listed)


def test_roles_are_told_from_sources_by_their_names() -> None:
    assert [is_shelf(role) for role in (TARGETS, role_of(1), role_of(70_000))] == [True] * 3
    assert [is_shelf(role) for role in ("p-", "p-x", "snapshot", "nightly", "xp-0001")] == [False] * 5


def test_a_page_has_room_by_number_and_by_bytes() -> None:
    assert Shelf("p-0001", "p-0001", 0, 9, 0).has_room(1, 10)
    assert not Shelf("p-0001", "p-0001", 0, 10, 0).has_room(1, 10)
    assert not Shelf("p-0001", "p-0001", 0, 1, 3_999_999).has_room(2, 10)


words = st.lists(st.sampled_from(["a", "b", "{x", "!y"]), min_size=1, max_size=6).map("-".join)


@given(
    st.lists(st.tuples(words, st.integers(1, 12)), min_size=1, max_size=14, unique_by=lambda one: one[0]),
    st.lists(st.sampled_from(["*", "a-*", "a-b*", "*b", "?-*"]), max_size=6),
    st.lists(words, min_size=1, max_size=30),
)
@settings(max_examples=200)
def test_what_matches_is_counted_as_a_client_would_meet_it(
    named: list[tuple[str, int]], sources: list[str], ids: list[str]
) -> None:
    pages = [page for n, (name, count) in enumerate(named, 1) for page in shelf_of(name, n, count)]
    crowding = Crowding(pages, [[one] for one in sources])
    shelves = [pattern_of(page.names[0]) for page in pages]
    for text in ids:
        expected = sum(patterns.matches(one, text) for one in [*shelves, *sources])
        assert crowding.matching(PackageId(text)) == expected
    # Whatever name has an id that matches too much is among the suspects.
    suspects = set(crowding.suspects())
    for name, _ in named:
        ids_of_name = [PackageId(f"{name}-{version}") for version in ids]
        if crowded(crowding, ids_of_name):
            assert name in suspects


def test_suspects_around_a_name_are_those_that_its_pattern_may_match() -> None:
    nested = [page for n in range(1, 34) for page in shelf_of("-".join(["a"] * n), n)]
    other = [page for n in range(40, 80) for page in shelf_of(f"other{n}", n)]
    crowding = Crowding([*nested, *other])
    assert len(nested) > MOST_MATCHING
    assert "a" in set(crowding.suspects([PackageName("a-a-a")]))
    assert not set(crowding.suspects([PackageName("other40")]))
