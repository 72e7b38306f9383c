"""python-tuf and tuf-js verify and download from /tuf what the API published."""

import hashlib
import time

import pytest

from device.names import NAMES, VERSION
from harness import api, package_kept_elsewhere, package_path, upload
from judges import tuf_js, tuf_ngclient
from judges.tuf_ngclient import first_root

both_clients = pytest.mark.parametrize("client", [tuf_ngclient, tuf_js], ids=["python-tuf", "tuf-js"])


@pytest.fixture
def follow(server, client, tmp_path):
    """One client with a memory: each call is one run of it."""
    root = first_root(server.tuf)
    return lambda *names: client.follow(server.tuf, root, tmp_path / "client", names)


@both_clients
def test_names_of_every_script_mixed_are_verified_and_downloaded(server, client, follow):
    ids = [upload(server, name, VERSION, name.encode())["packageId"] for name in NAMES]
    found = follow(*ids).targets
    assert {package_id: target.body.decode() for package_id, target in found.items()} == dict(
        zip(ids, NAMES, strict=True)
    )


@both_clients
def test_a_new_version_after_first_contact_is_found_with_the_old_state(server, client, follow):
    name = f"again-{client.__name__}"
    upload(server, name, "1", b"one")
    before = follow(f"{name}-1", f"{name}-2")
    assert list(before.targets) == [f"{name}-1"]
    upload(server, name, "2", b"two")
    after = follow(f"{name}-1", f"{name}-2")
    assert {at: target.body for at, target in after.targets.items()} == {
        f"{name}-1": b"one",
        f"{name}-2": b"two",
    }
    assert all(after.versions[role] > before.versions[role] for role in ("timestamp", "snapshot"))


@both_clients
def test_a_deleted_package_is_not_found_any_more_and_comes_back_with_the_same_bytes(server, client, follow):
    package_id = upload(server, f"gone-{client.__name__}", "1", b"x")["packageId"]
    assert package_id in follow(package_id).targets
    assert api(server, "DELETE", package_path(package_id)).status == 200
    assert follow(package_id).targets == {}
    upload(server, f"gone-{client.__name__}", "1", b"x")
    assert follow(package_id).targets[package_id].body == b"x"


@both_clients
def test_custom_metadata_is_signed_as_it_was_given(server, client, follow, odd_meta):
    package_id = upload(server, f"meta-{client.__name__}", "1", b"x", ["hw é", "b"])["packageId"]
    edited = api(server, "PATCH", package_path(package_id), json_body={"proprietaryMeta": odd_meta})
    assert edited.status == 200, edited.body
    custom = follow(package_id).targets[package_id].custom
    assert {key: custom[key] for key in odd_meta} == odd_meta
    assert (custom["name"], custom["version"]) == (f"meta-{client.__name__}", "1")
    assert sorted(custom["hardwareIds"]) == ["b", "hw é"]


@both_clients
def test_a_package_for_no_hardware_is_listed_and_a_large_one_is_whole(server, client, follow):
    body = bytes(range(256)) * 8192
    package_id = upload(server, "large", "1", body, hardware_ids=())["packageId"]
    target = follow(package_id).targets[package_id]
    assert target.body == body
    assert (target.length, target.hashes["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    assert target.custom["hardwareIds"] == []


@both_clients
def test_a_package_kept_elsewhere_is_reached_through_its_redirect(server, client, follow):
    package_id = package_kept_elsewhere(server, f"elsewhere-{client.__name__}")
    assert follow(package_id).targets[package_id].body == b"far away"


def test_a_client_of_a_busy_repository_always_succeeds(server, busy, tmp_path):
    root, found = first_root(server.tuf), set()
    with busy(server):
        for _ in range(14):
            verdict = tuf_ngclient.follow(server.tuf, root, tmp_path)
            found.add(verdict.versions["timestamp"])
            time.sleep(0.02)
    assert len(found) > 7
