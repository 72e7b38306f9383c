"""PATCH /packages/{packageId}: absent keeps, null clears, a value replaces; what of it is signed."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.calls import delete, package, patch, refused
from api.traces import agreed, nothing_changes, release_of
from harness import http, upload

ORIGINAL = {
    "hardwareIds": ["docker-compose", "verdin"],
    "uri": "https://example.com/a",
    "comment": "Größe",
    "proprietaryMeta": {"rauc": {"rawHashes": ["a", 1, None, True, {}]}, "größe": 'line\n"two"'},
}
OURS = ["name", "version", "hardwareIds", "targetFormat", "uri", "createdAt", "updatedAt", "cliUploaded"]
FULL_META = {"k": "x" * (16 * 1024 - 8)}  # 16 KiB as JSON


@pytest.fixture(scope="module")
def edited(server):
    """A package with everything set; each test puts it back."""
    upload(server, "edit", "1", b"edit", ORIGINAL["hardwareIds"])
    return "edit-1"


@pytest.fixture(autouse=True)
def _original(server, edited):
    assert patch(server, edited, ORIGINAL).status == 200


def changed(server, package_id, change):
    """The package after an edit that succeeded and that list and signed metadata agree about."""
    answer = patch(server, package_id, change)
    assert answer.status == 200, answer.body
    assert package(server, package_id) == answer.json
    found = agreed(server)
    assert found.packages[package_id] == answer.json
    return answer.json


def test_values_replace_and_everything_else_of_the_package_stays(server, edited):
    before = package(server, edited)
    for member, value in (
        ("hardwareIds", ["other", "a,b"]),
        ("uri", "http://example.com/b?c=d"),
        ("comment", ""),
        ("proprietaryMeta", {"whole": "value"}),
        ("proprietaryMeta", {}),
    ):
        before = before | {member: value}
        assert changed(server, edited, {member: value}) == before


@pytest.mark.parametrize("member", ["uri", "comment", "proprietaryMeta"])
def test_null_clears(server, edited, member):
    before = package(server, edited)
    assert changed(server, edited, {member: None}) == before | {member: None}


def test_null_keeps_hardware_ids_and_an_empty_list_empties_them(server, edited):
    before = package(server, edited)
    assert changed(server, edited, {"hardwareIds": None}) == before
    assert changed(server, edited, {"hardwareIds": []}) == before | {"hardwareIds": []}


def test_an_empty_edit_is_legal_and_answers_the_package(server, edited):
    before = package(server, edited)
    with nothing_changes(server):
        assert patch(server, edited, {}).json == before


@pytest.mark.parametrize(
    "change",
    [{"name": "other"}, {"version": "2"}, {"size": 1}, {"hashes": {}}, {"packageId": "x"}, {"unknown": [1]}],
)
def test_what_cannot_be_edited_is_never_changed(server, edited, change):
    with nothing_changes(server):
        assert patch(server, edited, change).status in (200, 400)


@pytest.mark.parametrize(
    ("change", "releases"),
    [
        ({}, 0),
        (ORIGINAL, 0),
        ({"comment": "other"}, 0),
        ({"comment": None, "hardwareIds": None}, 0),
        ({"uri": "https://example.com/other"}, 1),
        ({"hardwareIds": ["other"]}, 1),
        ({"proprietaryMeta": {"other": 1}}, 1),
        ({"comment": "x", "uri": None}, 1),
    ],
)
def test_only_a_change_of_a_signed_byte_makes_a_release(server, edited, change, releases):
    before = release_of(server)
    patch(server, edited, change)
    assert release_of(server) == before + releases
    patch(server, edited, change)
    assert release_of(server) == before + releases


def test_an_etag_names_one_state_of_the_package_and_if_match_is_honoured(server, edited):
    path = f"/api/v2beta/packages/{edited}"
    first = http(server, "GET", path).headers["etag"]
    assert patch(server, edited, {}, If_Match=first).headers["etag"] == first
    second = patch(server, edited, {"comment": "second"}, If_Match=first).headers["etag"]
    assert second != first
    with nothing_changes(server):
        for stale in (first, '"none"', f"W/{second}"):
            refused(patch(server, edited, {"comment": "lost"}, If_Match=stale), 412, "precondition_failed")
        refused(delete(server, edited, If_Match=first), 412, "precondition_failed")
    assert patch(server, edited, {"uri": None}, If_Match=f'"none", {second}').status == 200
    assert patch(server, edited, {"comment": "any"}, If_Match="*").status == 200


def test_proprietary_meta_is_flattened_into_the_signed_custom_of_both_dialects(server, edited):
    meta = {"note": "line\nbreak", "größe": [1, -(2**53) + 1, 2**53 - 1], "nested": {"name": "free"}}
    changed(server, edited, {"proprietaryMeta": meta})
    for dialect in ("repo", "tuf"):
        custom = agreed(server).targets(dialect)[edited]["custom"]
        assert {key: custom[key] for key in meta} == meta
        assert "comment" not in custom
        assert "proprietaryMeta" not in custom


@pytest.mark.parametrize("key", [*OURS, "ecuIdentifiers"])
def test_a_reserved_key_is_refused_by_name(server, edited, key):
    with nothing_changes(server):
        answer = patch(server, edited, {"proprietaryMeta": {key: "x"}})
        refused(answer, 400, "invalid_entity", key)


@pytest.mark.parametrize(
    "meta",
    [
        "text",
        1,
        True,
        [],
        [{}],
        1.5,
        {"a": 1.5},
        {"a": {"b": [1.0]}},
        {"a": 2**53 + 1},
        {"a": -(2**53) - 1},
        {"😀": 1},
        {"a": [{"x\U00010000": 1}]},
        {"k": FULL_META["k"] + "x"},
        {"k": "é" * 8190},
    ],
)
def test_proprietary_meta_that_cannot_be_signed_is_refused(server, edited, meta):
    with nothing_changes(server):
        refused(patch(server, edited, {"proprietaryMeta": meta}), 400, "invalid_entity")


@pytest.mark.parametrize("number", ["1e3", "1E400", "NaN", "Infinity", "-Infinity", "0.1", "9" * 5000])
def test_a_number_that_is_no_integer_within_2_to_the_53_is_refused_in_every_spelling(server, edited, number):
    with nothing_changes(server):
        change = b'{"proprietaryMeta":{"a":%s}}' % number.encode()
        refused(patch(server, edited, change), 400, "invalid_entity")


def test_sixteen_kibibytes_of_meta_and_characters_above_ffff_in_values_are_accepted(server, edited):
    changed(server, edited, {"proprietaryMeta": FULL_META})
    changed(server, edited, {"proprietaryMeta": {"smile": "😀 \x00\x7f\u2028"}})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"1",
        b"{} {}",
        b"{'comment': 1}",
        b'{"comment": "\xff"}',
        b'{"comment": "\\ud800"}',
        b'{"comment": 1}',
        b'{"comment": ["a"]}',
        b'{"uri": 1}',
        b'{"hardwareIds": "a"}',
        b'{"hardwareIds": [1]}',
        b'{"hardwareIds": [null]}',
        b'{"hardwareIds": {"a": 1}}',
        b'{"comment": "a", "comment": "b"}',
        b'{"proprietaryMeta": {"a": {"b": 1, "b": 1}}}',
        b'{"proprietaryMeta": ' + b'{"a":' * 64 + b"1" + b"}" * 64 + b"}",
        b'{"proprietaryMeta": {"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}}",
    ],
    ids=range(21),
)
def test_a_body_that_is_no_edit_is_400_and_changes_nothing(server, edited, body):
    with nothing_changes(server):
        refused(patch(server, edited, body), 400, "invalid_entity")


def test_meta_may_be_nested_deeply_within_reason(server, edited):
    meta = {}
    for _ in range(60):
        meta = {"a": meta}
    changed(server, edited, {"proprietaryMeta": meta})


@pytest.mark.parametrize(
    "hardware_ids",
    [[str(number) for number in range(65)], ["x" * 201], ["a\nb"], ["a\u202eb"], [""]],
)
def test_hardware_ids_have_the_limits_of_an_upload(server, edited, hardware_ids):
    with nothing_changes(server):
        refused(patch(server, edited, {"hardwareIds": hardware_ids}), 400, "invalid_entity")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "x",
        "/x",
        "ftp://example.com/x",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://",
        "//example.com",
        "https://example.com/" + "x" * 2048,
        "https://exa mple.com/",
        "https://example.com/\n",
    ],
)
def test_a_uri_is_http_of_at_most_two_kibibytes(server, edited, uri):
    with nothing_changes(server):
        refused(patch(server, edited, {"uri": uri}), 400, "invalid_entity", "uri")


def test_a_uri_of_two_kibibytes_is_accepted(server, edited):
    uri = "https://example.com/".ljust(2048, "x")
    assert changed(server, edited, {"uri": uri})["uri"] == uri


@pytest.mark.parametrize("unit", ["x", "é", "😀"])
def test_a_comment_has_at_most_64_kibibytes_of_utf8(server, edited, unit):
    most = 65536 // len(unit.encode())
    assert changed(server, edited, {"comment": unit * most})["comment"] == unit * most
    with nothing_changes(server):
        refused(patch(server, edited, {"comment": unit * most + "x"}), 400, "invalid_entity", "comment")


@settings(max_examples=40, derandomize=True)
@given(comment=st.text())
def test_any_text_is_a_comment_and_comes_back_as_it_was(server, edited, comment):
    assert patch(server, edited, {"comment": comment}).json["comment"] == comment
    assert package(server, edited)["comment"] == comment


META = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(max_codepoint=0xFFFF, codec="utf-8"), max_size=8), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@settings(max_examples=40, derandomize=True)
@given(meta=st.dictionaries(st.sampled_from(["a", "größe", "\x7f", "__proto__", "", "ﬀ"]), META))
def test_any_meta_within_the_rules_is_signed_as_it_was_sent(server, edited, meta):
    changed(server, edited, {"proprietaryMeta": meta})


def test_an_edit_of_an_unknown_package_is_404(server):
    with nothing_changes(server):
        error = refused(patch(server, "edit-none", {"comment": "x"}), 404, "target_not_found")
        assert error["description"] == "TargetNotFound"


def test_the_answer_to_a_patch_with_a_charset_or_without_a_type_is_the_package(server, edited):
    path, body = f"/api/v2beta/packages/{edited}", json.dumps({"comment": "typed"}).encode()
    for kind in (
        {},
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "Application/JSON"},
    ):
        answer = http(server, "PATCH", path, body=body, headers=kind)
        assert (answer.status, answer.json["comment"]) == (200, "typed")
