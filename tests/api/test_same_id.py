"""An id never changes its content: a retry is safe, anything else is a conflict and changes nothing."""

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.calls import delete, head_of, ids, package, patch, post, refused, upload_path, wire
from api.traces import agreed, blobs, nothing_changes, release_of
from harness import http, upload

BODY = b"the first bytes"
HARDWARE = ["docker-compose", "verdin"]


@pytest.fixture
def known(server, request):
    """A package of this test alone; its name."""
    name = "same-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    upload(server, name, "1", BODY, HARDWARE)
    return name


def asked_first(server, name, headers, hardware_ids=HARDWARE, version="1"):
    """What a second upload is told before any byte of its body; 100 when it is asked for the body."""
    with wire(server) as connection:
        path = upload_path(name, version, hardware_ids)
        connection.send(head_of(server, "POST", path, {"Expect": "100-continue", **headers}))
        return connection.read_answer(after_continue=False)


def digest_of(body):
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def test_the_same_upload_again_is_200_with_the_existing_package(server, known):
    before = package(server, f"{known}-1")
    with nothing_changes(server):
        again = post(server, known, "1", BODY, HARDWARE)
    assert (again.status, again.json) == (200, before)


def test_the_order_of_hardware_ids_and_their_repetition_make_no_difference(server, known):
    with nothing_changes(server):
        for same in (HARDWARE[::-1], HARDWARE * 2):
            assert post(server, known, "1", BODY, same).json["hardwareIds"] == HARDWARE


@pytest.mark.parametrize(
    ("body", "hardware_ids"),
    [
        (b"other bytes, 15", HARDWARE),  # of the same length
        (BODY + b".", HARDWARE),
        (BODY[:-1], HARDWARE),
        (BODY, HARDWARE[:1]),
        (BODY, [*HARDWARE, "third"]),
        (BODY, []),
        (BODY, ["Docker-Compose", "verdin"]),
    ],
)
def test_anything_different_is_409_and_the_old_bytes_stay(server, known, body, hardware_ids):
    with nothing_changes(server):
        refused(post(server, known, "1", body, hardware_ids), 409, "conflicting_entity")
    assert http(server, "GET", f"/repo/targets/{known}-1").body == BODY


def test_a_header_that_differs_already_is_refused_before_the_body(server, known):
    length = {"Content-Length": len(BODY)}
    with nothing_changes(server):
        for headers in (
            {"Content-Length": len(BODY) + 1},
            length | {"Content-Digest": digest_of(b"other")},
            length | {"X-Checksum-Sha256": hashlib.sha256(b"other").hexdigest()},
        ):
            refused(asked_first(server, known, headers), 409, "conflicting_entity")
        refused(asked_first(server, known, length, ["other"]), 409, "conflicting_entity")
        refused(asked_first(server, known, length, []), 409, "conflicting_entity")
        assert asked_first(server, known, length | {"Content-Digest": digest_of(BODY)}).status == 100


def test_two_pairs_that_make_one_id_conflict_whichever_comes_first(server):
    upload(server, "same-pair-a-b", "c", b"1")
    with nothing_changes(server):
        answer = post(server, "same-pair-a", "b-c", b"1")
        refused(answer, 409, "conflicting_entity", "same-pair-a-b")
        refused(
            asked_first(server, "same-pair-a", {"Content-Length": 1}, ["docker-compose"], version="b-c"), 409
        )
    assert package(server, "same-pair-a-b-c")["name"] == "same-pair-a-b"


def test_names_are_case_sensitive_so_another_case_is_another_package(server, known):
    upload(server, known.upper(), "1", b"upper")
    assert http(server, "GET", f"/repo/targets/{known}-1").body == BODY
    assert http(server, "GET", f"/repo/targets/{known.upper()}-1").body == b"upper"


def test_an_edit_does_not_change_what_a_retry_is_compared_with(server, known):
    patch(server, f"{known}-1", {"hardwareIds": ["edited"], "uri": "https://example.com/x", "comment": "c"})
    edited = package(server, f"{known}-1")
    with nothing_changes(server):
        again = post(server, known, "1", BODY, HARDWARE)
        assert (again.status, again.json) == (200, edited)
        refused(post(server, known, "1", BODY, ["edited"]), 409, "conflicting_entity")


def test_a_deleted_version_comes_back_with_the_same_bytes_only_and_the_answer_explains_why(server, known):
    patch(server, f"{known}-1", {"comment": "old", "proprietaryMeta": {"a": 1}})
    assert delete(server, f"{known}-1").status == 200
    with nothing_changes(server):
        for answer in (
            post(server, known, "1", b"other bytes, 15", HARDWARE),
            asked_first(server, known, {"Content-Length": 3}),
            asked_first(server, known, {"Content-Length": len(BODY), "X-Checksum-Sha256": "0" * 64}),
        ):
            error = refused(answer, 409, "conflicting_entity", "deleted", "devices")
            assert "OTARIUM_REUSE_DELETED_VERSIONS" in error["msg"]
    back = upload(server, known, "1", BODY, HARDWARE)
    assert (back["comment"], back["proprietaryMeta"]) == (None, None)
    assert agreed(server).packages[f"{known}-1"] == back
    assert http(server, "GET", f"/repo/targets/{known}-1").body == BODY


def test_a_deleted_version_still_keeps_its_id_from_another_pair_with_other_bytes(server):
    upload(server, "same-gone-a-b", "c", b"1")
    delete(server, "same-gone-a-b-c")
    with nothing_changes(server):
        refused(post(server, "same-gone-a", "b-c", b"2"), 409, "conflicting_entity")


@pytest.mark.parametrize("attempt", range(3))
def test_many_clients_with_one_id_and_different_bytes_make_one_package(server, attempt):
    name, before = f"same-race-{attempt}", (release_of(server), blobs(server))
    bodies = [f"{attempt} {number}".encode() * 500 for number in range(24)]
    with ThreadPoolExecutor(len(bodies)) as pool:
        answers = list(pool.map(lambda body: post(server, name, "1", body), bodies))
    winners = [body for body, answer in zip(bodies, answers, strict=True) if answer.status == 200]
    for answer in answers:
        if answer.status != 200:
            refused(answer, 409, "conflicting_entity")
    (winner,) = winners
    assert ids(server, f"name={name}") == [f"{name}-1"]
    assert http(server, "GET", f"/tuf/targets/{name}-1").body == winner
    assert release_of(server) == before[0] + 1
    agreed(server)
    assert hashlib.sha256(winner).hexdigest() in blobs(server) - before[1]


def test_many_clients_with_one_id_and_the_same_bytes_all_get_the_package(server):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: post(server, "same-crowd", "1", b"x" * 9000), range(16)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert ids(server, "name=same-crowd") == ["same-crowd-1"]
    agreed(server)
