"""An Uptane device verifies and downloads from /repo what the API published; the judge at its strictest."""

import time

import pytest

from device.names import NAMES, VERSION
from harness import api, package_kept_elsewhere, package_path, upload
from judges.uptane import UptaneDevice
from judges.uptane_errors import NotMatching
from judges.uptane_transport import HttpFetch

FIRST_CONTACT = ["1.root.json", "2.root.json", "timestamp.json", "snapshot.json", "targets.json"]
NEW_RELEASE = ["2.root.json", "timestamp.json", "snapshot.json", "targets.json"]


def device_of(server, hardware_id="docker-compose", source=None):
    return UptaneDevice(server.repo, hardware_id, fetch=HttpFetch(source), strict=True)


@pytest.fixture
def device(server):
    return device_of(server)


def test_names_of_every_script_mixed_are_verified_and_downloaded(server, device):
    ids = {upload(server, name, VERSION, name.encode())["packageId"]: name for name in NAMES}
    device.refresh()
    assert {package_id: device.download(package_id).decode() for package_id in ids} == ids


def test_a_new_version_after_first_contact_is_found_with_the_old_state(server, device):
    upload(server, "device", "1", b"one")
    device.refresh()
    assert device.requests == FIRST_CONTACT
    upload(server, "device", "2", b"two")
    device.requests.clear()
    device.refresh()
    assert device.requests == NEW_RELEASE
    assert (device.download("device-1"), device.download("device-2")) == (b"one", b"two")


def test_an_unchanged_repository_costs_a_device_two_requests(server, device):
    device.refresh()
    device.requests.clear()
    device.refresh()
    assert device.requests == ["2.root.json", "timestamp.json"]


def test_a_deleted_package_does_not_match_any_more(server, device):
    package_id = upload(server, "device-gone", "1", b"x")["packageId"]
    device.refresh()
    assert device.download(package_id) == b"x"
    assert api(server, "DELETE", package_path(package_id)).status == 200
    device.refresh()
    with pytest.raises(NotMatching):
        device.find(package_id)


def test_only_the_hardware_that_is_listed_matches_and_an_edit_counts_at_once(server):
    package_id = upload(server, "device-hw", "1", b"x", ["hw-a", "hw é,b"])["packageId"]
    for hardware_id in ("hw-a", "hw é,b"):
        device = device_of(server, hardware_id)
        device.refresh()
        assert device.download(package_id) == b"x"
    assert api(server, "PATCH", package_path(package_id), json_body={"hardwareIds": []}).status == 200
    device.refresh()
    with pytest.raises(NotMatching):
        device.find(package_id)


def test_custom_metadata_is_signed_as_it_was_given(server, device, odd_meta):
    package_id = upload(server, "device-meta", "1", b"x")["packageId"]
    edited = api(server, "PATCH", package_path(package_id), json_body={"proprietaryMeta": odd_meta})
    assert edited.status == 200, edited.body
    device.refresh()
    custom = device.find(package_id).custom
    assert {key: custom[key] for key in odd_meta} == odd_meta
    assert (custom["name"], custom["version"], custom["targetFormat"]) == ("device-meta", "1", "BINARY")


def test_a_broken_download_is_resumed(server, device):
    body = bytes(range(256)) * 4096
    package_id = upload(server, "device-resume", "1", body)["packageId"]
    device.refresh()
    assert device.download(package_id, have=body[:300_001]) == body


def test_a_package_kept_elsewhere_is_fetched_from_there(server, device):
    package_id = package_kept_elsewhere(server, "device-elsewhere")
    device.refresh()
    device.requests.clear()
    assert device.download(package_id) == b"far away"
    assert ".elsewhere-" in device.requests[0]


def test_a_device_that_took_a_timestamp_still_gets_its_snapshot_and_targets(server):
    early, late = device_of(server, source="127.0.0.21"), device_of(server, source="127.0.0.22")
    early._refresh_root()
    early._refresh_timestamp()
    for number in range(5):
        upload(server, "device-view", str(number), b"x")
    late.refresh()
    early._refresh_snapshot()
    early._refresh_targets()
    assert early.timestamp.version < late.timestamp.version
    with pytest.raises(NotMatching):
        early.find("device-view-0")
    assert late.download("device-view-4") == b"x"
    early.refresh()
    assert early.download("device-view-4") == b"x"


@pytest.mark.parametrize("source", ["127.0.0.31", "127.0.0.32"])
def test_fourteen_of_fourteen_cycles_succeed_while_others_publish(server, busy, source):
    plain = HttpFetch(source)

    def slow(url, headers, limit):
        time.sleep(0.02)
        return plain(url, headers, limit)

    device, found = UptaneDevice(server.repo, "docker-compose", fetch=slow, strict=True), set()
    with busy(server):
        for _ in range(14):
            device.refresh()
            found.add(device.timestamp.version)
    assert len(found) > 7
