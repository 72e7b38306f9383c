"""How /repo and /tuf answer as a web server: names, ranges, caching, compression, and errors in JSON."""

import gzip
import json
import urllib.parse
import uuid

import pytest

from harness import http, upload

BODY = bytes(range(256)) * 40
PLAIN = [
    "/repo/timestamp.json",
    "/repo/targets.json",
    "/repo/snapshot.json",
    "/repo/root.json",
    "/tuf/timestamp.json",
]


def get(server, path, method="GET", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http(server, method, path, headers=named, token=None)


@pytest.fixture
def package(server):
    return upload(server, "web/é+%41", "1", BODY)


def hash_of(package):
    return package["hashes"]["sha256"]


def quoted(name):
    return urllib.parse.quote(name, safe="/")


def version_of(server, role):
    return json.loads(get(server, f"/tuf/{role}.json").body)["signed"]["version"]


@pytest.mark.parametrize("prefix", ["/repo", "/tuf"])
def test_a_target_has_a_plain_name_and_a_hash_name(server, package, prefix):
    directory, _, last = package["packageId"].rpartition("/")
    for path in (
        quoted(package["packageId"]),
        urllib.parse.quote(package["packageId"], safe=""),
        f"{directory}/{hash_of(package)}.{quoted(last)}",
    ):
        assert get(server, f"{prefix}/targets/{path}").body == BODY, path


def test_below_tuf_the_hash_alone_finds_the_bytes(server, package):
    for rest in ("x", "%zz", "a%2Fb", "[]{}", ""):
        assert get(server, f"/tuf/targets/any/%dir/{hash_of(package)}.{rest}").body == BODY, rest


def test_a_package_whose_id_looks_like_a_hash_name_wins_over_the_hash(server, package):
    name = hash_of(package) + ".x"
    upload(server, name, "1", b"my own bytes")
    assert get(server, f"/repo/targets/{name}-1").body == b"my own bytes"


def test_an_empty_version_of_a_known_hash_is_still_not_a_name(server, package):
    assert get(server, f"/repo/targets/{'0' * 64}.web").status == 404
    assert get(server, f"/tuf/targets/{'0' * 64}.web").status == 404


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("0-0", 0, 1),
        ("5-", 5, 10240),
        ("-7", 10233, 10240),
        ("100-199", 100, 200),
        ("10000-99999", 10000, 10240),
    ],
)
def test_a_range_gives_these_bytes_only(server, package, asked, start, end):
    answer = get(server, f"/repo/targets/{quoted(package['packageId'])}", Range=f"bytes={asked}")
    assert (answer.status, answer.body) == (206, BODY[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(BODY)}"
    assert answer.headers["content-length"] == str(end - start)


def test_a_range_past_the_end_is_416_and_a_strange_one_is_ignored(server, package):
    path = f"/tuf/targets/{hash_of(package)}.x"
    answer = get(server, path, Range="bytes=10240-")
    assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{len(BODY)}")
    check_error(answer)
    for strange in ("lines=1-2", "bytes=b-a", "bytes=9-5"):
        assert get(server, path, Range=strange).body == BODY, strange


def test_if_range_continues_only_what_is_unchanged(server, package):
    path = f"/repo/targets/{quoted(package['packageId'])}"
    whole = get(server, path)
    assert whole.headers["accept-ranges"] == "bytes"
    same = get(server, path, Range="bytes=5-9", If_Range=whole.headers["etag"])
    other = get(server, path, Range="bytes=5-9", If_Range='"another"')
    assert (same.status, same.body) == (206, BODY[5:10])
    assert (other.status, other.body) == (200, BODY)


@pytest.mark.parametrize("path", [*PLAIN, "/tuf/1.root.json", "target"])
def test_head_tells_what_get_would_and_an_etag_saves_the_body(server, package, path):
    path = f"/tuf/targets/{hash_of(package)}.x" if path == "target" else path
    whole, head = get(server, path), get(server, path, "HEAD")
    assert whole.status == head.status == 200
    assert head.body == b""
    for name in ("content-length", "content-type", "etag", "cache-control"):
        assert head.headers[name] == whole.headers[name], name
    assert whole.headers["content-length"] == str(len(whole.body))
    for tag in (whole.headers["etag"], f'"x", {whole.headers["etag"]}', "*"):
        again = get(server, path, If_None_Match=tag)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", whole.headers["etag"]), tag
    assert get(server, path, If_None_Match='"x"').status == 200


def test_plain_names_are_checked_each_time_and_versioned_ones_kept_for_ever(server, package):
    for path in PLAIN:
        assert "no-cache" in get(server, path).headers["cache-control"], path
    for prefix in ("/repo", "/tuf"):
        for path in (
            f"{prefix}/1.root.json",
            f"{prefix}/{version_of(server, 'snapshot')}.snapshot.json",
            f"{prefix}/{version_of(server, 'targets')}.targets.json",
            f"{prefix}/targets/{hash_of(package)}.x",
        ):
            answer = get(server, path)
            assert answer.status == 200, path
            assert "immutable" in answer.headers["cache-control"], path


def test_metadata_is_compressed_only_when_asked_for(server):
    for number in range(8):  # a file of a few hundred bytes need not be
        upload(server, "web-gzip-" + "x" * 100, str(number), b"x")
    plain = get(server, "/tuf/targets.json")
    assert "content-encoding" not in plain.headers
    for refusal in ("identity", "gzip;q=0", "br", "gzip;q=0, *;q=0"):
        assert "content-encoding" not in get(server, "/tuf/targets.json", Accept_Encoding=refusal).headers, (
            refusal
        )
    packed = get(server, "/tuf/targets.json", Accept_Encoding="br, gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert "accept-encoding" in packed.headers["vary"].lower()
    assert packed.headers["etag"] != plain.headers["etag"] or packed.headers["etag"].startswith("W/")


def test_every_answer_says_how_long_it_is(server, package):
    for path in [*PLAIN, "/repo/1.root.json", "/tuf/targets.json"]:
        whole = get(server, path)
        assert int(whole.headers["content-length"]) == len(whole.body) > 0, path
        head = http(server, "HEAD", path, token=None)
        assert (head.headers["content-length"], head.body) == (whole.headers["content-length"], b""), path


def test_an_old_release_stays_for_clients_that_are_one_behind(server):
    upload(server, "web-old", "1", b"x")
    before = {role: version_of(server, role) for role in ("snapshot", "targets")}
    first = {role: get(server, f"/tuf/{version}.{role}.json").body for role, version in before.items()}
    for number in range(5):
        upload(server, "web-new", str(number), b"x")
    for role, version in before.items():
        assert version_of(server, role) > version
        for prefix in ("/repo", "/tuf"):
            assert get(server, f"{prefix}/{version}.{role}.json").status == 200
        assert get(server, f"/tuf/{version}.{role}.json").body == first[role]


@pytest.mark.parametrize(
    "path",
    [
        "/repo/2.root.json",
        "/repo/0.root.json",
        "/repo/01.root.json",
        "/tuf/-1.root.json",
        "/tuf/999999999999999999999.root.json",
        "/tuf/2147483647.targets.json",
        "/repo/delegations/none.json",
        "/tuf/1.none.json",
        "/repo/targets/none-1",
        "/repo/targets/",
        "/repo/targets/..%2F..%2Fetc/passwd",
        "/repo/targets/../timestamp.json",
        "/repo/targets/%ff",
        "/tuf/targets/%00",
        "/repo/",
        "/repo",
        "/tuf",
        "/repo/index.html",
        "/repository/timestamp.json",
    ],
)
def test_what_is_unknown_is_404_in_json(server, path):
    answer = get(server, path)
    assert answer.status == 404, answer.body[:300]
    check_error(answer)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_devices_can_only_read(server, method):
    answer = http(server, method, "/repo/timestamp.json", body=b"")
    assert answer.status == 405
    check_error(answer)
    assert "GET" in answer.headers["allow"]


def check_error(answer):
    assert answer.headers["content-type"].startswith("application/json")
    assert {"msg", "code", "description", "cause", "errorId"} == set(answer.json)
    uuid.UUID(answer.json["errorId"])


def test_the_hash_name_of_a_deleted_package_stays_for_a_while(server):
    body = uuid.uuid4().bytes
    package = upload(server, "web-gone", "1", body)
    path = f"/api/v2beta/packages/{package['packageId']}"
    assert http(server, "DELETE", path).status == 200
    assert get(server, f"/tuf/targets/{hash_of(package)}.web-gone-1").body == body
