"""Names, versions and ids: what is refused and why, one form of Unicode, ids in paths."""

import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from api.calls import delete, ids, package, page, patch, post, refused, upload_path
from api.traces import agreed, nothing_changes
from harness import http, package_path, upload

FORBIDDEN = {
    "\x00": "control",
    "\n": "control",
    "\x7f": "control",
    "\x85": "control",
    "\u200b": "format",
    "\u202e": "format",
    "\ufeff": "format",
    "\u00ad": "format",
    "\ue000": "private use",
    "\u2028": "line separator",
    "\u2029": "paragraph separator",
    "\u00a0": "space other than U+0020",
    "\u2003": "space other than U+0020",
    "\u3000": "space other than U+0020",
    "\U00010000": "above U+FFFF",
    "😀": "above U+FFFF",
    "\\": "device clients cannot fetch",
    "#": "device clients cannot fetch",
    "?": "device clients cannot fetch",
}
SHAPES = {
    " a": "space",
    "a ": "space",
    "/a": "slash",
    "a/": "slash",
    "a//b": "empty",
    ".": "'.'",
    "..": "'.'",
    "a/../b": "'.'",
    "./a": "'.'",
    "a/.": "'.'",
}


@pytest.mark.parametrize("part", ["name", "version"])
@pytest.mark.parametrize(("char", "rule"), FORBIDDEN.items(), ids=[f"U+{ord(one):04X}" for one in FORBIDDEN])
def test_a_refused_character_is_400_that_names_the_rule(server, part, char, rule):
    with nothing_changes(server):
        for text in (f"a{char}b", char):
            fields = {"name": "names", "version": "1"} | {part: text}
            error = refused(post(server, **fields, body=b"x"), 400, "invalid_entity")
            assert rule in error["msg"], error
            assert part in error["msg"], error


@pytest.mark.parametrize(("text", "rule"), SHAPES.items())
def test_a_refused_shape_is_400_that_names_the_rule(server, text, rule):
    with nothing_changes(server):
        refused(post(server, text, "1", b"x"), 400, "invalid_entity", rule, "name")


@pytest.mark.parametrize(
    ("text", "rule"), [("1/2", "slash"), (" 1", "space"), ("1 ", "space"), (".", "'.'"), ("..", "'.'")]
)
def test_a_version_has_no_slash_either(server, text, rule):
    with nothing_changes(server):
        refused(post(server, "names", text, b"x"), 400, "invalid_entity", rule, "version")


def test_half_of_a_surrogate_pair_is_400(server):
    with nothing_changes(server):
        path = "/api/v2beta/packages?name=a%ED%A0%80b&version=1&targetFormat=BINARY"
        refused(http(server, "POST", path, body=b"x"), 400, "invalid_entity")


def test_a_name_has_at_most_128_characters_and_a_version_64(server):
    assert upload(server, "n" * 128, "v" * 64, b"x")["packageId"] == "n" * 128 + "-" + "v" * 64
    with nothing_changes(server):
        refused(post(server, "n" * 129, "1", b"x"), 400, "invalid_entity", "128", "name")
        refused(post(server, "names", "v" * 65, b"x"), 400, "invalid_entity", "64", "version")
        refused(post(server, "", "1", b"x"), 400, "invalid_entity", "name")
        refused(post(server, "names", "", b"x"), 400, "invalid_entity", "version")


def test_an_id_has_at_most_253_bytes_of_utf8(server):
    assert len(upload(server, "é" * 125, "v2", b"x")["packageId"].encode()) == 253
    with nothing_changes(server):
        refused(post(server, "é" * 125, "v10", b"x"), 400, "invalid_entity", "253")
        refused(post(server, "装" * 84, "1.0", b"x"), 400, "invalid_entity", "253")


def test_names_are_normalised_on_the_way_in_in_paths_and_in_filters(server):
    composed = "names-Åé한"
    decomposed = unicodedata.normalize("NFD", composed)
    assert decomposed != composed
    made = upload(server, decomposed, unicodedata.normalize("NFD", "é1"), b"nfc", ["ö" + "o\u0308"])
    assert (made["name"], made["version"], made["hardwareIds"]) == (composed, "é1", ["öö"])
    for spelling in (composed + "-é1", decomposed + "-e\u03011"):
        assert package(server, spelling) == made
        for query in ("packageIds=", "idContains="):
            assert ids(server, query + quote(spelling)) == [made["packageId"]]
    for query in (f"name={quote(decomposed)}", "version=e%CC%811", "hardwareIds=o%CC%88%C3%B6"):
        assert ids(server, query) == [made["packageId"]], query
    assert ids(server, "nameContains=" + quote(decomposed[-5:])) == [made["packageId"]]
    assert post(server, composed, "é1", b"nfc", ["öö"]).json == made
    assert patch(server, decomposed + "-é1", {"comment": "x"}).status == 200
    assert made["packageId"] in agreed(server).targets("tuf")
    assert delete(server, decomposed + "-é1").status == 200


def test_length_counts_after_normalisation(server):
    assert len(upload(server, "e\u0301" * 100, "1", b"x")["name"]) == 100


def test_names_and_ids_are_case_sensitive(server):
    upload(server, "names-Case", "A", b"upper")
    upload(server, "names-case", "a", b"lower")
    assert ids(server, "name=names-case") == ["names-case-a"]
    assert ids(server, "version=A&nameContains=names-case") == ["names-Case-A"]
    refused(http(server, "GET", "/api/v2beta/packages/names-case-A"), 404, "target_not_found")


@pytest.mark.parametrize("slash", ["/", "%2F", "%2f"])
def test_slashes_inside_an_id_work_raw_and_encoded(server, slash):
    made = upload(server, f"names/slash/{quote(slash, safe='')}", "1", b"x")
    path = "/api/v2/packages/" + slash.join(quote(one, safe="") for one in made["packageId"].split("/"))
    assert http(server, "GET", path).json == made
    assert http(server, "PATCH", path, body=b'{"comment":"c"}').json == made | {"comment": "c"}
    assert http(server, "DELETE", path).status == 200
    assert ids(server, "packageIds=" + quote(made["packageId"])) == []


def test_ids_are_decoded_once_and_strictly(server):
    plain = upload(server, "names-dec", "1", b"plain")
    odd = upload(server, "%2Fnames-dec", "1", b"odd")
    twice = upload(server, "%252Fnames-dec", "1", b"twice")
    get = lambda path: http(server, "GET", "/api/v2beta/packages/" + path)  # noqa: E731
    assert get("names-dec-1").json == plain
    assert get("%252Fnames-dec-1").json == odd
    assert get("%25252Fnames-dec-1").json == twice
    for path in ("%2Fnames-dec-1", "names-dec-1%2F", "./names-dec-1", "%2E/names-dec-1", "names-dec%2D1%00"):
        refused(get(path), 404, "target_not_found")
    for path in ("names-dec-1%", "names-dec-1%4", "names-dec-1%zz", "names-dec-1%ff"):
        refused(get(path), 400, "invalid_entity")
    assert http(server, "GET", "/repo/targets/%252Fnames-dec-1").body == b"odd"


def test_a_plus_in_a_path_is_a_plus_and_a_space_only_if_nothing_matches(server):
    spaced = upload(server, "names plus", "a b", b"spaced")
    assert http(server, "GET", "/api/v2/packages/names+plus-a+b").json == spaced
    plus = upload(server, "names+plus", "a+b", b"plus")
    assert http(server, "GET", "/api/v2/packages/names+plus-a+b").json == plus
    assert http(server, "DELETE", "/api/v2/packages/names+plus-a+b").status == 200
    assert http(server, "PATCH", "/api/v2/packages/names+plus-a+b", body=b"{}").json == spaced
    assert http(server, "DELETE", "/api/v2/packages/names+plus-a+b").status == 200
    assert ids(server, "nameContains=names%20plus") == []


def test_an_encoded_plus_stays_one_when_the_others_are_spaces(server):
    """As PowerShell writes the id "names+ps x-1+b"."""
    made = upload(server, "names+ps x", "1+b", b"x")
    assert http(server, "GET", "/api/v2/packages/names%2bps+x-1%2bb").json == made


@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
@pytest.mark.parametrize("end", ["/packages", "/packages/", "/packages?", "/packages//", "/packages?x=1"])
def test_the_collection_can_be_neither_deleted_nor_patched(server, method, end):
    with nothing_changes(server):
        for base in ("/api/v2beta", "/api/v2"):
            answer = http(server, method, base + end, body=b"{}" if method == "PATCH" else None)
            refused(answer, 405, "method_not_allowed")
            assert {"GET", "POST"} <= set(answer.headers["allow"].replace(" ", "").split(","))


def test_what_clients_make_of_dots_deletes_nothing(server):
    """The official client turns the ids "." and ".." into the first two of these."""
    with nothing_changes(server):
        for path in ("packages/", "", "packages/.", "packages/..", "packages/%2E%2E", "packages/../packages"):
            assert http(server, "DELETE", "/api/v2beta/" + path).status in (404, 405), path


LETTERS = st.characters(
    codec="utf-8", exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"], max_codepoint=0xFFFF
)
NAMES = st.text(LETTERS | st.sampled_from(" /.-+%&;,~:*[é"), min_size=1, max_size=30)


@settings(max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much])
@given(name=NAMES, version=NAMES)
def test_an_accepted_name_comes_back_exactly_from_upload_get_list_metadata_and_delete(server, name, version):
    answer = http(server, "POST", upload_path(name, version), body=b"x")
    assume(answer.status != 400)
    made, package_id = answer.json, unicodedata.normalize("NFC", f"{name}-{version}")
    try:
        assert unicodedata.normalize("NFC", name) == made["name"]
        assert unicodedata.normalize("NFC", version) == made["version"]
        assert made["packageId"] == package_id
        assert package(server, package_id) == made
        assert page(server, "packageIds=" + quote(package_id, safe=""))["values"] == [made]
        assert page(server, "name=" + quote(name) + "&version=" + quote(version))["values"] == [made]
        for dialect in ("repo", "tuf"):
            http(server, "GET", f"/{dialect}/timestamp.json")  # as a device does first
            signed = http(server, "GET", f"/{dialect}/targets.json").json["signed"]["targets"]
            assert signed[package_id]["custom"]["name"] == made["name"]
            assert http(server, "GET", f"/{dialect}/targets/{quote(package_id)}").body == b"x"
    finally:
        assert http(server, "DELETE", "/api/v2beta" + package_path(package_id)).status == 200
    refused(http(server, "GET", "/api/v2beta" + package_path(package_id)), 404, "target_not_found")
