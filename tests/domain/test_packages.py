"""Entries, edits, identity."""

import json

import pytest

from builders import NOW, package
from otarium.domain import identity
from otarium.domain.errors import Conflict, Invalid
from otarium.domain.names import HardwareId, Sha256
from otarium.domain.packages import (
    Content,
    PackageEdit,
    TargetFormat,
    parse_comment,
    parse_meta,
    parse_uri,
)


def test_an_entry_holds_what_devices_match_and_the_publishers_own_members() -> None:
    entry = package(meta={"fw_ver": "000007"}, uri="https://x.example/a").entry()
    target = json.loads(b"{" + entry.tuf + b"}")["app-1"]
    assert target["length"] == 10
    assert target["custom"] == {
        "name": "app",
        "version": "1",
        "hardwareIds": ["hw"],
        "targetFormat": "BINARY",
        "createdAt": "2027-01-15T08:00:00Z",
        "updatedAt": "2027-01-15T08:00:00Z",
        "uri": "https://x.example/a",
        "fw_ver": "000007",
    }
    assert entry.uptane is entry.tuf is entry.olpc


def test_the_forms_of_an_entry_differ_only_where_the_dialects_do() -> None:
    entry = package(meta={"k": "é\n"}).entry()
    assert rb"\u00e9\n" in entry.uptane
    assert "é\\n".encode() in entry.tuf
    assert "é\n".encode() in entry.olpc


def test_an_edit_without_effect_changes_nothing() -> None:
    one = package()
    assert PackageEdit().applied_to(one, NOW + 5, 2) is one
    assert PackageEdit(hardware_ids=one.hardware_ids, uri=None).applied_to(one, NOW + 5, 2) is one


@pytest.mark.parametrize(("old", "new"), [({"a": 1}, {"a": True}), ({"a": [0]}, {"a": [False]}), (None, {})])
def test_values_that_python_takes_for_equal_are_still_replaced(old: object, new: object) -> None:
    edited = PackageEdit(meta=new).applied_to(package(meta=old), NOW + 5, 2)  # type: ignore[arg-type]
    assert (repr(edited.meta), edited.revision) == (repr(new), 2)


def test_a_comment_is_not_signed_so_it_moves_no_signed_time() -> None:
    edited = PackageEdit(comment="hi").applied_to(package(), NOW + 5, 2)
    assert (edited.comment, edited.updated_at, edited.revision) == ("hi", NOW, 2)
    assert edited.entry() == package().entry()


def test_a_signed_change_moves_the_signed_time() -> None:
    edited = PackageEdit(hardware_ids=()).applied_to(package(), NOW + 5, 2)
    assert (edited.hardware_ids, edited.updated_at) == ((), NOW + 5)


@pytest.mark.parametrize("key", ["name", "uri", "ecuIdentifiers", "cliUploaded", "createdAt"])
def test_reserved_members_are_refused(key: str) -> None:
    with pytest.raises(Invalid, match=key):
        parse_meta({key: 1})


@pytest.mark.parametrize(
    ("value", "reason"),
    [([], "object"), ("x", "object"), ({"a": {"😀": 1}}, "FFFF"), ({"a": "x" * 16384}, "at most 16384")],
)
def test_odd_metadata_is_refused(value: object, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        parse_meta(value)


@pytest.mark.parametrize(
    "uri",
    ["", "ftp://x/", "https://", "https://u:p@x/", "https://x/ y", "https://x/é", "http://[::1", "x" * 2100],
)
def test_only_plain_web_addresses_are_uris(uri: str) -> None:
    with pytest.raises(Invalid):
        parse_uri(uri)


def test_a_comment_is_bounded_in_bytes() -> None:
    assert parse_comment("é" * 32768)
    with pytest.raises(Invalid):
        parse_comment("é" * 32769)


def test_a_package_knows_its_sbom_by_a_url() -> None:
    assert package(meta={"supplyChainInfo": {"cyclonedx": {"url": "https://x/s"}}}).has_sbom
    for meta in (None, {}, {"supplyChainInfo": []}, {"supplyChainInfo": {"cyclonedx": {"url": 1}}}):
        assert not package(meta=meta).has_sbom


def content(**changes: object) -> Content:
    values = {"format": TargetFormat.BINARY, "sha256": Sha256("a" * 64), "length": 1}
    return Content(**(values | {"hardware_ids": frozenset({HardwareId("hw")})} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"sha256": Sha256("b" * 64)}, "bytes"),
        ({"length": 2}, "bytes"),
        ({"format": TargetFormat.OSTREE}, "target format"),
        ({"hardware_ids": frozenset()}, "hardware ids"),
        ({"location": "https://x/"}, "location"),
    ],
)
def test_another_content_under_one_id_is_a_conflict_that_says_what_differs(change: dict, word: str) -> None:
    identity.require_same(content(), content(), package().id)
    with pytest.raises(Conflict, match=word):
        identity.require_same(content(), content(**change), package().id)


def test_a_deleted_package_may_come_back_for_other_hardware_only() -> None:
    identity.require_same_bytes(content(), content(hardware_ids=frozenset()), package().id)
    with pytest.raises(Conflict, match="installed"):
        identity.require_same_bytes(content(), content(length=2), package().id)


def test_two_pairs_that_make_one_id_collide() -> None:
    with pytest.raises(Conflict, match="'a-b'"):
        identity.require_same_names(package("a-b", "c"), package("a", "b-c"))
