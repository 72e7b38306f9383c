"""Releases: versions only rise, files chain, both dialects say the same."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import LIFETIMES, NOW, Keys, entries, package, release
from otarium.domain import canonical
from otarium.domain import release as releases
from otarium.domain.errors import Broken
from otarium.domain.packages import timestamp
from otarium.domain.release import Counters
from otarium.domain.roles import TARGETS, Dialect, Header, Line, listed_versions, snapshot
from otarium.domain.verification import Untrusted, Verified, verify_file, verify_listed, verify_roots
from otarium.domain.versions import ShelfVersions


def verified(made: releases.Release, dialect: Dialect, now: int = NOW) -> Verified:
    """The top-level targets, after the whole chain was checked by our own verifier."""
    trust = verify_roots({1: made.root.in_dialect(dialect).raw}, dialect, now)
    listing = None
    for file in (made.timestamp, made.snapshot, made.targets):
        raw = file.in_dialect(dialect).raw
        if listing is not None:
            verify_listed(raw, f"{file.role}.json", listing)
        listing = verify_file(raw, file.role, dialect, trust[file.role], now)
    assert listing is not None
    return listing


@pytest.mark.parametrize("dialect", Dialect)
def test_a_release_verifies_in_its_dialect(dialect: Dialect) -> None:
    made = release(package(meta={"note": "line\nbreak \x7f é 😀", "n": [1, None, True]}), package("b", "2"))
    targets = verified(made, dialect).signed["targets"]
    assert sorted(targets) == ["app-1", "b-2"]
    assert targets["app-1"]["custom"]["note"] == "line\nbreak \x7f é 😀"
    assert targets["app-1"]["custom"]["hardwareIds"] == ["hw"]


def test_both_dialects_have_the_same_versions_expiry_keys_and_root_signature() -> None:
    made = release(package())
    for file in made.files():
        uptane, tuf = json.loads(file.uptane.raw), json.loads(file.tuf.raw)
        for member in ("version", "expires"):
            assert uptane["signed"][member] == tuf["signed"][member]
        assert [one["keyid"] for one in uptane["signatures"]] == [one["keyid"] for one in tuf["signatures"]]
    assert json.loads(made.root.uptane.raw)["signed"] == json.loads(made.root.tuf.raw)["signed"]


def test_a_dialect_is_refused_by_the_other_dialects_rules() -> None:
    made = release(package())
    swapped = replace(made.timestamp, uptane=made.timestamp.tuf)
    with pytest.raises(Untrusted, match="_type"):
        verified(replace(made, timestamp=swapped), Dialect.UPTANE)


ROLE_NAMES = st.from_regex(r"p-[0-9a-f]{1,5}", fullmatch=True) | st.from_regex(
    r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,5}", fullmatch=True
)


VERSIONS = st.none() | st.integers(1, 9)


@given(roles=st.dictionaries(ROLE_NAMES, st.tuples(VERSIONS, VERSIONS)), sources=st.sets(ROLE_NAMES))
def test_a_snapshot_is_canonical_whatever_it_lists_and_was_signed_again(
    roles: dict[str, tuple[int | None, int | None]], sources: set[str]
) -> None:
    before = {role: version for role, (version, _) in roles.items() if version}
    again = {role: version for role, (_, version) in roles.items() if version}
    line, keys, first = Line("a" * 64, 5, 2), Keys(), release(package())
    shelves = ShelfVersions(before).with_signed(again)
    assert dict(shelves) == before | again
    for way in (ShelfVersions(before | again), ShelfVersions(before).changed_to(before | again)):
        assert (dict(way), way.lines_beside({})) == (dict(shelves), shelves.lines_beside({}))
    others = {Dialect.UPTANE: dict.fromkeys(sources - set(shelves), line), Dialect.TUF: {}}
    made = snapshot(Header("snapshot", 1, NOW, NOW + 60), first.targets, shelves, keys.sign, others)
    for dialect in Dialect:
        raw = made.in_dialect(dialect).raw
        signed = json.loads(raw)["signed"]
        assert raw.endswith(b',"signed":' + canonical.olpc(signed) + b"}")
        listed = {*shelves, "targets", *others[dialect]}
        assert set(signed["meta"]) == {f"{role}.json" for role in listed}
        assert all(signed["meta"][f"{role}.json"] == {"version": shelves[role]} for role in shelves)


def test_every_release_raises_snapshot_and_timestamp_and_changed_shelves_only() -> None:
    keys = Keys()
    first = release(package(), keys=keys)
    second = releases.build(first, first.root, {}, Counters(), NOW, LIFETIMES, keys.sign)
    assert second.targets == first.targets
    assert second.snapshot.version == first.snapshot.version + 1
    assert second.number == first.number + 1
    third = release(package(version="2"), keys=keys, previous=second)
    assert third.targets.version > first.targets.version


def test_shelves_of_one_key_never_share_a_version() -> None:
    keys = Keys()
    root = releases.first_root(keys.role_keys, NOW, LIFETIMES, keys.sign)
    changed = {TARGETS: entries(package()), "p-0001": [], "p-0002": []}
    made = releases.build(None, root, changed, Counters(), NOW, LIFETIMES, keys.sign)
    again = releases.build(made, root, {"p-0001": []}, Counters(), NOW, LIFETIMES, keys.sign)
    versions = {made.targets.version, *made.shelves.values(), *again.shelves.values()}
    assert len(versions) == 4
    assert [file.version for file in again.signed_shelves] == [again.shelves["p-0001"]]
    assert listed_versions(again.snapshot) == {TARGETS: made.targets.version, **again.shelves}


def test_a_snapshot_says_nothing_but_the_version_of_a_delegated_shelf() -> None:
    keys = Keys()
    root = releases.first_root(keys.role_keys, NOW, LIFETIMES, keys.sign)
    made = releases.build(
        None, root, {TARGETS: [], "p-0001": entries(package())}, Counters(), NOW, LIFETIMES, keys.sign
    )
    for dialect in Dialect:
        meta = json.loads(made.snapshot.in_dialect(dialect).raw)["signed"]["meta"]
        assert meta["p-0001.json"] == {"version": made.shelves["p-0001"]}
        assert set(meta["targets.json"]) == {"version", "length", "hashes"}


def test_versions_stay_above_the_catalog_even_when_memory_is_behind() -> None:
    keys = Keys()
    root = releases.first_root(keys.role_keys, NOW, LIFETIMES, keys.sign)
    floor = Counters(targets=7, snapshot=8, timestamp=9)
    made = releases.build(None, root, {TARGETS: []}, floor, NOW, LIFETIMES, keys.sign)
    assert made.counters == Counters(1, 8, 9, 10)


def test_the_next_root_is_exactly_one_version_up_and_verifies_from_the_first() -> None:
    keys = Keys()
    first = releases.first_root(keys.role_keys, NOW, LIFETIMES, keys.sign)
    later = NOW + 200 * releases.DAY
    second = releases.next_root(first, keys.role_keys, later, LIFETIMES, keys.sign)
    assert second.version == 2
    for dialect in Dialect:
        raws = {file.version: file.in_dialect(dialect).raw for file in (first, second)}
        assert verify_roots(raws, dialect, NOW + 400 * releases.DAY)
        with pytest.raises(Untrusted, match="gap"):
            verify_roots({2: raws[2]}, dialect, later)
        with pytest.raises(Untrusted, match="signed"):
            verify_roots({1: _foreign_root(dialect), 2: raws[2]}, dialect, later)


def _foreign_root(dialect: Dialect) -> bytes:
    keys = Keys(seed=2)
    return releases.first_root(keys.role_keys, NOW, LIFETIMES, keys.sign).in_dialect(dialect).raw


def test_the_timestamp_is_due_after_a_quarter_of_its_life_the_others_at_half() -> None:
    made = release(package())
    for share, expected in (
        (LIFETIMES.timestamp // 4 - 1, set()),
        (LIFETIMES.timestamp // 4, {"timestamp"}),
        (LIFETIMES.snapshot // 2, {"timestamp", "snapshot"}),
        (LIFETIMES.targets // 2, {"timestamp", "snapshot", TARGETS}),
        (LIFETIMES.root // 2, {"timestamp", "snapshot", TARGETS, "root"}),
    ):
        assert releases.due(made, NOW + share) == expected


def test_an_expired_file_is_refused() -> None:
    made = release(package())
    assert verified(made, Dialect.TUF, NOW + LIFETIMES.timestamp - 1)
    with pytest.raises(Untrusted, match="timestamp version 1 expired at"):
        verified(made, Dialect.TUF, NOW + LIFETIMES.timestamp)


@pytest.mark.parametrize("version", [0, 2**31])
def test_a_version_that_devices_cannot_hold_is_never_signed(version: int) -> None:
    with pytest.raises(Broken):
        Header("snapshot", version, NOW, NOW + 1)


def test_times_have_the_only_form_that_every_client_accepts() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00Z"
    assert timestamp(NOW) == "2027-01-15T08:00:00Z"
