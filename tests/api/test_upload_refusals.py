"""POST /packages: what is refused, when, and that nothing is left of it.

The servers here have small limits: 100,000 bytes, two uploads at once, one second without a byte.
"""

import contextlib
import hashlib
import time

import pytest

from api.calls import head_of, ids, post, refused, token_for, upload_path, wire
from api.traces import nothing_changes, staged, wait_until_nothing_is_staged
from harness import PATIENCE, http, running_server, upload

LIMIT = 100_000
IDLE = 1


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    limits = {
        "OTARIUM_MAX_PACKAGE_BYTES": str(LIMIT),
        "OTARIUM_MAX_UPLOADS": "2",
        "OTARIUM_UPLOAD_IDLE_SECONDS": str(IDLE),
        "OTARIUM_UPLOAD_MIN_RATE": "1000",
    }
    with running_server(tmp_path_factory.mktemp("strict") / "data", env=limits) as running:
        yield running


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A server that thinks that its disk is full."""
    reserve = {"OTARIUM_RESERVE_BYTES": str(2**60)}
    with running_server(tmp_path_factory.mktemp("full") / "data", env=reserve) as running:
        yield running


@contextlib.contextmanager
def begun_upload(server, version, length, first=b"some bytes"):
    """An upload that the server has begun to store, while the block lasts; then the client is gone."""
    with wire(server) as connection:
        path, before = upload_path("refuse-slow", version), len(staged(server))
        connection.send(head_of(server, "POST", path, {"Content-Length": length}) + first)
        deadline = time.monotonic() + 10
        while len(staged(server)) == before:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield connection


def asked_first(server, path, headers, token=""):
    """What an upload that asks with Expect: 100-continue is told before any byte of its body."""
    with wire(server) as connection:
        connection.send(head_of(server, "POST", path, {"Expect": "100-continue", **headers}, token))
        return connection.read_answer(after_continue=False)


def test_a_body_without_a_length_is_411(strict):
    with nothing_changes(strict):
        path = upload_path("refuse", "1")
        error = refused(http(strict, "POST", path), 411, "length_required")
        assert "Content-Length" in error["msg"]


def test_a_chunked_body_is_411(strict):
    with nothing_changes(strict), wire(strict) as connection:
        head = head_of(strict, "POST", upload_path("refuse", "1"), {"Transfer-Encoding": "chunked"})
        connection.send(head + b"5\r\nhello\r\n0\r\n\r\n")
        refused(connection.read_answer(), 411, "length_required")


def test_two_lengths_or_a_length_and_chunks_are_not_an_upload(strict):
    both = {"Content-Length": 5, "Transfer-Encoding": "chunked"}
    twice = {"Content-Length": 5, "content-length": 6}
    for headers, body in ((both, b"5\r\nhello\r\n0\r\n\r\n"), (twice, b"hello!")):
        with nothing_changes(strict), wire(strict) as connection:
            connection.send(head_of(strict, "POST", upload_path("refuse", "1"), headers) + body)
            assert connection.read_answer().status in (400, 411)


def test_an_empty_body_is_400(strict):
    with nothing_changes(strict):
        refused(post(strict, "refuse", "1", b""), 400, "invalid_entity", "at least one byte")


@pytest.mark.parametrize("length", ["-1", "1.5", "x", "+1", "99999999999999999999999999"])
def test_a_length_that_is_none_is_refused(strict, length):
    with nothing_changes(strict), wire(strict) as connection:
        connection.send(
            head_of(strict, "POST", upload_path("refuse", "1"), {"Content-Length": length}) + b"x"
        )
        assert connection.read_answer().status in (400, 413)


def test_more_than_the_limit_is_413_before_the_body_and_the_limit_itself_is_taken(strict):
    with nothing_changes(strict):
        answer = asked_first(strict, upload_path("refuse", "1"), {"Content-Length": LIMIT + 1})
        assert str(LIMIT) in refused(answer, 413, "payload_too_large")["msg"]
        refused(post(strict, "refuse", "1", b"x" * (LIMIT + 1)), 413, "payload_too_large")
    upload(strict, "refuse-limit", "1", b"x" * LIMIT)


def test_the_limit_is_five_gibibytes_by_default(server):
    with nothing_changes(server):
        path = upload_path("refuse-large", "1")
        refused(asked_first(server, path, {"Content-Length": 5 * 2**30 + 1}), 413, "payload_too_large")


def test_a_full_disk_is_507_before_the_body(full):
    with nothing_changes(full):
        for answer in (
            asked_first(full, upload_path("refuse", "1"), {"Content-Length": 10}),
            post(full, "refuse", "1", b"0123456789"),
        ):
            refused(answer, 507, "insufficient_storage")
            assert int(answer.headers["retry-after"]) > 0


def test_a_full_disk_hinders_no_edit_and_no_device(full):
    assert http(full, "GET", "/api/v2beta/packages").status == 200
    assert http(full, "GET", "/repo/timestamp.json").status == 200


def test_too_many_uploads_at_once_are_503_before_the_body_and_leaving_makes_room(strict):
    with begun_upload(strict, "a", 50_000), begun_upload(strict, "b", 50_000):
        answer = asked_first(strict, upload_path("refuse", "third"), {"Content-Length": 10})
        refused(answer, 503, "service_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        refused(post(strict, "refuse", "third", b"x"), 503)
        assert http(strict, "GET", "/api/v2beta/packages").status == 200
    wait_until_nothing_is_staged(strict)
    upload(strict, "refuse-room", "1", b"x")


@pytest.mark.parametrize(
    ("token", "status"), [(None, 401), ("nonsense", 401), ("otarium_0_0", 401), ("reader", 403)]
)
def test_who_may_not_upload_is_told_before_the_body(strict, token, status):
    if token == "reader":
        token = token_for(strict, "packages:read")
    with nothing_changes(strict):
        path = upload_path("refuse", "1")
        refused(asked_first(strict, path, {"Content-Length": 50_000}, token), status)
        # Also before anything else is looked at, so that nothing can be found out without a token.
        refused(asked_first(strict, "/api/v2beta/packages?name=%00", {"Content-Length": 1}, token), status)


@pytest.mark.parametrize(
    "path",
    [
        upload_path("", "1"),
        upload_path("refuse", ""),
        upload_path("refuse", "1", ["x" * 201]),
        upload_path("refuse", "1", ["\u00e9" * 101]),
        upload_path("refuse", "1", [str(number) for number in range(65)]),
        upload_path("refuse", "1", ["line\nbreak"]),
        upload_path("refuse", "1", targetFormat="TAR"),
        upload_path("refuse", "1", targetFormat=""),
        "/api/v2beta/packages?version=1&targetFormat=BINARY",
        "/api/v2beta/packages?name=refuse&targetFormat=BINARY",
        "/api/v2beta/packages?name=refuse&version=1",
        "/api/v2beta/packages?name=%ff&version=1&targetFormat=BINARY",
        "/api/v2beta/packages",
    ],
)
def test_a_query_that_makes_no_package_is_400_before_the_body(strict, path):
    with nothing_changes(strict):
        refused(asked_first(strict, path, {"Content-Length": 10}), 400, "invalid_entity")


@pytest.mark.parametrize("word", ["OSTREE", "ostree"])
def test_ostree_carries_no_bytes_and_the_answer_names_the_call_that_takes_it(strict, word):
    with nothing_changes(strict):
        path = upload_path("refuse", "1", targetFormat=word)
        answer = asked_first(strict, path, {"Content-Length": 10})
        refused(answer, 400, "invalid_entity", "/api/otarium/v1/packages/references")


def test_a_known_package_with_another_length_is_409_before_the_body(strict):
    upload(strict, "refuse-known", "1", b"known")
    with nothing_changes(strict):
        path = upload_path("refuse-known", "1")
        refused(asked_first(strict, path, {"Content-Length": 6}), 409, "conflicting_entity")


def test_a_length_that_is_too_large_ends_in_a_closed_connection_and_leaves_nothing(strict):
    started = time.monotonic()
    with nothing_changes(strict), begun_upload(strict, "lying", 50_000) as connection:
        assert connection.is_closed()
        assert IDLE * 0.8 < time.monotonic() - started < IDLE + PATIENCE


def test_a_length_that_is_too_small_makes_a_shorter_package_and_no_second_one(strict):
    with wire(strict) as connection:
        path = upload_path("refuse-cut", "1")
        connection.send(head_of(strict, "POST", path, {"Content-Length": 3}) + b"123456")
        assert connection.read_answer().json["hashes"] == {"sha256": hashlib.sha256(b"123").hexdigest()}
    assert ids(strict, "nameContains=refuse-cut") == ["refuse-cut-1"]


def test_an_upload_below_the_minimum_rate_is_closed_and_leaves_nothing(strict):
    with nothing_changes(strict), begun_upload(strict, "dripping", 50_000) as connection:
        deadline = time.monotonic() + 10
        connection.socket.settimeout(0.2)
        while not connection.is_closed():  # a few bytes often enough never to be idle
            assert time.monotonic() < deadline
            connection.send(b"drip")


def test_a_slow_upload_above_the_minimum_rate_has_all_the_time_it_needs(strict):
    with begun_upload(strict, "steady", 20_000, first=b"x" * 2000) as connection:
        for _ in range(9):
            time.sleep(IDLE / 3)
            connection.send(b"x" * 2000)
        answer = connection.read_answer()
    assert (answer.status, answer.json["size"]) == (200, 20_000)


def test_a_client_that_is_killed_midway_leaves_nothing(server):
    with nothing_changes(server), begun_upload(server, "killed", 10_000_000, first=b"x" * 3_000_000):
        assert staged(server)
