"""DELETE: gone at once from the list and the signed metadata; the bytes follow after a grace."""

import threading
import time

import pytest

from api.calls import delete, ids, post, refused
from api.traces import agreed, blobs, nothing_changes
from harness import PATIENCE, http, running_server, upload

GRACE = 2


@pytest.fixture(scope="module")
def brief(tmp_path_factory):
    """A server that forgets deleted packages after two seconds, and lets other bytes take their place."""
    settings = {
        "OTARIUM_DELETED_GRACE": str(GRACE),
        "OTARIUM_SWEEP_INTERVAL": "0.2",
        "OTARIUM_REUSE_DELETED_VERSIONS": "true",
    }
    with running_server(tmp_path_factory.mktemp("brief") / "data", env=settings) as running:
        yield running


def hash_names(package):
    sha256, package_id = package["hashes"]["sha256"], package["packageId"]
    return [f"/tuf/targets/{sha256}.{package_id}", f"/repo/targets/{sha256}.{package_id}"]


def wait_for(condition, seconds=GRACE + 8):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_deleted_package_leaves_the_list_and_the_metadata_at_once_and_its_bytes_after_the_grace(brief):
    package = upload(brief, "gone", "1", b"soon gone")
    sha256 = package["hashes"]["sha256"]
    answer = delete(brief, "gone-1")
    deleted_at = time.monotonic()
    assert (answer.status, answer.body) == (200, b"")
    assert ids(brief, "name=gone") == []
    refused(http(brief, "GET", "/api/v2beta/packages/gone-1"), 404, "target_not_found")
    found = agreed(brief)
    assert "gone-1" not in found.targets("repo")
    assert sha256 in found.blobs
    for path in hash_names(package):
        assert http(brief, "GET", path).body == b"soon gone"
    wait_for(lambda: sha256 not in blobs(brief))
    assert time.monotonic() - deleted_at > GRACE - 1  # times are kept in whole seconds
    for path in (*hash_names(package), "/repo/targets/gone-1"):
        refused(http(brief, "GET", path), 404)
    assert brief.run("verify").returncode == 0


def test_a_second_delete_and_one_of_the_unknown_are_404_and_change_nothing(brief):
    upload(brief, "twice", "1", b"x")
    assert delete(brief, "twice-1").status == 200
    for package_id in ("twice-1", "never-1", "twice", "-", "/"):
        refused(delete(brief, package_id), 404, "target_not_found")
    agreed(brief)


def test_bytes_that_another_package_has_too_stay(brief):
    for name in ("share-a", "share-b"):
        shared = upload(brief, name, "1", b"shared bytes")
    upload(brief, "alone", "1", b"alone")
    alone = upload(brief, "alone", "1", b"alone")["hashes"]["sha256"]
    delete(brief, "share-a-1")
    delete(brief, "alone-1")
    wait_for(lambda: alone not in blobs(brief))
    assert http(brief, "GET", "/repo/targets/share-b-1").body == b"shared bytes"
    assert shared["hashes"]["sha256"] in agreed(brief).blobs


@pytest.mark.parametrize("pause", [0, GRACE + 1.5])
def test_the_same_bytes_come_back_before_and_after_the_sweep(brief, pause):
    body = f"back after {pause}".encode()
    first = upload(brief, "back", str(pause), body)
    delete(brief, first["packageId"])
    time.sleep(pause)
    again = upload(brief, "back", str(pause), body)
    assert again["hashes"] == first["hashes"]
    time.sleep(GRACE + 1)
    assert http(brief, "GET", f"/repo/targets/{again['packageId']}").body == body
    agreed(brief)


def test_a_deleted_version_may_be_reused_for_other_bytes_where_the_setting_says_so(brief):
    upload(brief, "reused", "1", b"old")
    with nothing_changes(brief):
        refused(post(brief, "reused", "1", b"new"), 409, "conflicting_entity")
    delete(brief, "reused-1")
    assert upload(brief, "reused", "1", b"new!")["size"] == 4
    agreed(brief)
    assert http(brief, "GET", "/repo/targets/reused-1").body == b"new!"


def test_if_match_guards_a_delete_too(brief):
    upload(brief, "guarded", "1", b"x")
    etag = http(brief, "GET", "/api/v2beta/packages/guarded-1").headers["etag"]
    with nothing_changes(brief):
        refused(delete(brief, "guarded-1", If_Match='"other"'), 412, "precondition_failed")
    assert delete(brief, "guarded-1", If_Match=etag).status == 200


def test_delete_upload_and_sweep_at_once_lose_no_acknowledged_package(tmp_path):
    """Everybody deletes and brings back the same bytes while a sweep without grace runs all the time. Whoever
    comes while the bytes are just being removed is told to come back."""
    hurry = {"OTARIUM_DELETED_GRACE": "0", "OTARIUM_SWEEP_INTERVAL": "0.01"}
    with running_server(tmp_path / "data", env=hurry, workers=2) as server:
        failures, until = [], time.monotonic() + 2

        def bring(version):
            deadline = time.monotonic() + PATIENCE
            while (answer := post(server, "churn", version, b"everybody's bytes")).status == 503:
                assert answer.headers["retry-after"] == "1" and time.monotonic() < deadline, answer.body
            assert answer.status == 200, answer.body

        def churn(version):
            try:
                while time.monotonic() < until:
                    bring(version)
                    body = http(server, "GET", f"/repo/targets/churn-{version}").body
                    assert body == b"everybody's bytes", body
                    assert delete(server, f"churn-{version}").status == 200
                bring(version)
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=churn, args=(str(number),)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures, failures
        time.sleep(0.5)
        assert len(agreed(server).packages) == 4
        assert http(server, "GET", "/repo/targets/churn-0").body == b"everybody's bytes"
        verified = server.run("verify", check=False)
        assert verified.returncode == 0, verified.stdout
