"""POST /api/otarium/v1/packages/references: packages whose bytes live elsewhere."""

import pytest

from api.calls import delete, ids, package, patch, post, refused, token_for
from api.traces import agreed, nothing_changes
from harness import add_reference, http, upload

SHA = "ab" * 32
URI = "https://files.example.com/image.bin?x=1&y=%20"


def refer(server, **entry):
    return add_reference(server, **{"version": "1", "sha256": SHA, "length": 1234, "uri": URI} | entry)


def test_a_reference_is_listed_and_signed_like_any_package_and_no_byte_is_stored(server):
    before = agreed(server).blobs
    answer = refer(server, name="ref/first", hardwareIds=["a", "b"], targetFormat="binary")
    assert answer.status == 200
    made = answer.json
    created = made.pop("createdAt")
    assert made == {
        "name": "ref/first",
        "version": "1",
        "packageId": "ref/first-1",
        "size": 1234,
        "hashes": {"sha256": SHA},
        "packageSource": "targets.json",
        "pkgType": "BINARY",
        "hardwareIds": ["a", "b"],
        "uri": URI,
        "proprietaryMeta": None,
        "comment": None,
    }
    found = agreed(server)
    assert found.packages["ref/first-1"] == made | {"createdAt": created} == package(server, "ref/first-1")
    assert found.blobs == before
    for dialect in ("repo", "tuf"):
        entry = found.targets(dialect)["ref/first-1"]
        assert (entry["length"], entry["hashes"], entry["custom"]["uri"]) == (1234, {"sha256": SHA}, URI)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_its_target_paths_lead_to_the_uri(server, method):
    sha256 = "cd" * 32
    refer(server, name="ref-lead", sha256=sha256)
    for path in (
        "/repo/targets/ref-lead-1",
        "/tuf/targets/ref-lead-1",
        f"/repo/targets/{sha256}.ref-lead-1",
        f"/tuf/targets/{sha256}.ref-lead-1",
    ):
        answer = http(server, method, path)
        assert (answer.status, answer.headers["location"], answer.body) == (302, URI, b""), path


def test_an_edited_uri_is_where_its_paths_lead_from_then_on(server):
    refer(server, name="ref-moved", sha256="ce" * 32)
    moved = patch(server, "ref-moved-1", {"uri": "https://mirror.example.com/x"})
    assert moved.json["uri"] == "https://mirror.example.com/x"
    for path in ("/repo/targets/ref-moved-1", f"/tuf/targets/{'ce' * 32}.ref-moved-1"):
        assert http(server, "GET", path).headers["location"] == moved.json["uri"], path
    assert agreed(server).targets("repo")["ref-moved-1"]["custom"]["uri"] == moved.json["uri"]


@pytest.mark.parametrize("length", [0, 17])
def test_an_ostree_commit_is_404_that_says_why(server, length):
    commit = f"{length:02x}" * 32
    made = refer(
        server, name="ref/os", version=str(length), sha256=commit, length=length, targetFormat="OSTREE"
    )
    assert (made.status, made.json["pkgType"], made.json["size"]) == (200, "OSTREE", length)
    for path in (f"/repo/targets/ref/os-{length}", f"/tuf/targets/ref/{commit}.os-{length}"):
        refused(http(server, "GET", path), 404, None, "OSTree")
    agreed(server)


def test_hardware_ids_may_be_left_out(server):
    made = refer(server, name="ref-bare", hardwareIds=[])
    assert made.json["hardwareIds"] == []


def test_the_same_reference_again_is_200_and_any_other_is_409(server):
    first = refer(server, name="ref-again").json
    with nothing_changes(server):
        assert refer(server, name="ref-again").json == first
        for other in (
            {"sha256": "ef" * 32},
            {"length": 1235},
            {"targetFormat": "OSTREE"},
            {"hardwareIds": ["other"]},
            {"hardwareIds": []},
        ):
            refused(refer(server, name="ref-again", **other), 409, "conflicting_entity")


def test_a_reference_and_an_upload_cannot_take_each_others_id(server):
    refer(server, name="ref-taken")
    made = upload(server, "ref-upload", "1", b"bytes")
    with nothing_changes(server):
        refused(post(server, "ref-taken", "1", b"x" * 1234), 409, "conflicting_entity")
        sha256 = made["hashes"]["sha256"]
        refused(refer(server, name="ref-upload", sha256=sha256, length=6), 409, "conflicting_entity")
        refused(refer(server, name="ref", version="taken-1"), 409, "conflicting_entity")


@pytest.mark.parametrize(
    "entry",
    [
        {"name": ""},
        {"name": "a#b"},
        {"name": "/x"},
        {"name": "😀"},
        {"name": 1},
        {"name": None},
        {"version": "1/2"},
        {"version": ""},
        {"sha256": "abc"},
        {"sha256": "g" * 64},
        {"sha256": None},
        {"length": 0},
        {"length": -1},
        {"length": 1.5},
        {"length": "10"},
        {"length": 2**63},
        {"uri": ""},
        {"uri": "ftp://example.com/x"},
        {"uri": "/relative"},
        {"uri": "https://"},
        {"uri": "https://example.com/\r\nSet-Cookie: a=b"},
        {"uri": "https://example.com/".ljust(2049, "x")},
        {"uri": None},
        {"targetFormat": "TAR"},
        {"targetFormat": 1},
        {"hardwareIds": "a"},
        {"hardwareIds": ["x" * 201]},
        {"hardwareIds": [str(number) for number in range(65)]},
    ],
)
def test_a_reference_that_makes_no_package_is_400(server, entry):
    with nothing_changes(server):
        refused(refer(server, **{"name": "ref-bad", **entry}), 400, "invalid_entity")


def test_what_is_missing_is_named(server):
    kind = {"Content-Type": "application/json"}
    with nothing_changes(server):
        answer = http(server, "POST", "/api/otarium/v1/packages/references", body=b"{}", headers=kind)
        refused(answer, 400, "invalid_entity", "name")


def test_a_uri_of_two_kibibytes_is_accepted(server):
    uri = "https://example.com/".ljust(2048, "x")
    assert refer(server, name="ref-long", uri=uri).json["uri"] == uri


def test_a_deleted_reference_is_gone_and_comes_back_with_the_same_content_only(server):
    first = refer(server, name="ref-gone").json
    assert delete(server, "ref-gone-1").status == 200
    assert ids(server, "name=ref-gone") == []
    assert "ref-gone-1" not in agreed(server).targets("tuf")
    with nothing_changes(server):
        refused(refer(server, name="ref-gone", sha256="ef" * 32), 409, "conflicting_entity", "deleted")
    assert refer(server, name="ref-gone").json["hashes"] == first["hashes"]


def test_only_whoever_may_write_adds_a_reference(server):
    reader = token_for(server, "packages:read")
    with nothing_changes(server):
        for token, status in ((None, 401), ("nonsense", 401), (reader, 403)):
            path = "/api/otarium/v1/packages/references"
            refused(http(server, "POST", path, body=b"{}", token=token), status)


def test_verify_skips_the_bytes_of_references(server):
    agreed(server)
    verified = server.run("verify", check=False)
    assert verified.returncode == 0, verified.stdout
