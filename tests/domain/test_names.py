"""Names that device clients cannot verify or fetch never get in; all others come out as they went in."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otarium.domain.errors import Invalid
from otarium.domain.names import HardwareId, PackageId, PackageName, PackageVersion, Sha256, SourceName


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        ("", "empty"),
        ("a\x00b", "control character"),
        ("a\u200bb", "format character"),
        ("a\ud800b", "surrogate"),
        ("a\ue000b", "private use"),
        ("a\u2028b", "line separator"),
        ("a\u2029b", "paragraph separator"),
        ("a\u00a0b", "space other than U+0020"),
        ("a\u3000b", "space other than U+0020"),
        ("a\uffffb", "unassigned"),
        ("a\U0001f600b", "above U+FFFF"),
        ("a\\b", "cannot fetch"),
        ("a#b", "cannot fetch"),
        ("a?b", "cannot fetch"),
        (" a", "starts or ends"),
        ("a ", "starts or ends"),
        ("/a", "starts or ends"),
        ("a/", "starts or ends"),
        ("a//b", "segment"),
        ("a/./b", "segment"),
        ("a/../b", "segment"),
        (".", "segment"),
        ("..", "segment"),
        ("x" * 129, "at most 128"),
    ],
)
def test_a_refused_name_is_told_the_rule(raw: str, rule: str) -> None:
    with pytest.raises(Invalid, match=rule.replace("+", r"\+")):
        PackageName.parse(raw)


def test_a_version_has_no_slash_and_at_most_64_characters() -> None:
    assert PackageVersion.parse("x" * 64)
    for raw in ("1/2", "x" * 65):
        with pytest.raises(Invalid):
            PackageVersion.parse(raw)


def test_a_package_id_has_at_most_253_bytes() -> None:
    name = PackageName.parse("é" * 120)
    assert PackageId.of(name, PackageVersion.parse("x" * 12))
    with pytest.raises(Invalid, match="254 bytes"):
        PackageId.of(name, PackageVersion.parse("x" * 13))


@given(st.text(max_size=140))
def test_a_name_is_refused_or_kept_in_its_normal_form(raw: str) -> None:
    try:
        name = PackageName.parse(raw)
    except Invalid:
        return
    assert name == unicodedata.normalize("NFC", raw)
    assert PackageName.parse(name) == name
    assert all(ord(char) <= 0xFFFF for char in name)


def test_decomposed_and_composed_spellings_are_one_name() -> None:
    assert PackageName.parse("e\u0301") == PackageName.parse("\u00e9") == "\u00e9"


def test_hardware_ids_are_kept_once_and_in_order() -> None:
    assert HardwareId.parse_all(["b", "a", "b"]) == ("b", "a")
    assert HardwareId.parse_all(["a b", "a,b"]) == ("a b", "a,b")
    for refused in ([""], ["x" * 201], ["a\nb"], [str(number) for number in range(65)]):
        with pytest.raises(Invalid):
            HardwareId.parse_all(refused)


def test_hashes_are_64_hexadecimal_digits_in_either_case() -> None:
    assert Sha256.parse("AB" * 32) == "ab" * 32
    for refused in ("ab" * 31, "zz" * 32, "ab" * 32 + "\n"):
        with pytest.raises(Invalid):
            Sha256.parse(refused)


def test_a_source_is_the_same_with_and_without_json() -> None:
    assert SourceName.parse("tdx-nightly.json") == SourceName.parse("tdx-nightly")
