"""The two dialects are one repository: same keys, versions, expiry, targets; one signature for both roots."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest

from harness import http, upload
from judges.uptane import UptaneDevice

ROLES = ("root", "timestamp", "snapshot", "targets")
LIFE = {"root": 365, "targets": 90, "snapshot": 7, "timestamp": 1}  # days


def get(server, path):
    answer = http(server, "GET", path, token=None)
    assert answer.status == 200, (path, answer.status)
    return answer.body


@pytest.fixture
def release(server):
    """Both dialects of one release, by role."""
    upload(server, "dialects", "1", b"x")
    uptane = {"timestamp": get(server, "/repo/timestamp.json")}
    uptane |= {role: get(server, f"/repo/{role}.json") for role in ("snapshot", "targets")}
    tuf = {"timestamp": get(server, "/tuf/timestamp.json")}
    line = json.loads(tuf["timestamp"])["signed"]["meta"]["snapshot.json"]
    tuf["snapshot"] = get(server, f"/tuf/{line['version']}.snapshot.json")
    line = json.loads(tuf["snapshot"])["signed"]["meta"]["targets.json"]
    tuf["targets"] = get(server, f"/tuf/{line['version']}.targets.json")
    for prefix, files in (("/repo", uptane), ("/tuf", tuf)):
        files["root"] = get(server, f"{prefix}/1.root.json")
    return {role: (json.loads(uptane[role]), json.loads(tuf[role])) for role in ROLES}


def test_versions_and_expiry_are_equal_and_as_long_as_promised(release):
    now = datetime.now(UTC)
    for role, (uptane, tuf) in release.items():
        for member in ("version", "expires"):
            assert uptane["signed"][member] == tuf["signed"][member], (role, member)
        left = datetime.fromisoformat(uptane["signed"]["expires"]) - now
        assert timedelta(days=LIFE[role] * 0.5) < left <= timedelta(days=LIFE[role]), (role, left)


def test_types_methods_and_encodings_are_those_of_each_dialect(release):
    for role, (uptane, tuf) in release.items():
        assert tuf["signed"]["_type"] == role
        assert uptane["signed"]["_type"] == (role if role == "root" else role.capitalize())
        assert tuf["signed"]["spec_version"].startswith("1.0")
        for signature in uptane["signatures"]:
            assert signature["method"] == "ed25519"
            assert len(base64.b64decode(signature["sig"], validate=True)) == 64
        assert all(len(bytes.fromhex(signature["sig"])) == 64 for signature in tuf["signatures"])


def test_one_root_signature_serves_both_dialects(release):
    uptane, tuf = release["root"]
    assert uptane["signed"] == tuf["signed"]
    re_encoded = {
        entry["keyid"]: base64.b64encode(bytes.fromhex(entry["sig"])).decode() for entry in tuf["signatures"]
    }
    assert {entry["keyid"]: entry["sig"] for entry in uptane["signatures"]} == re_encoded


def test_keys_have_the_ids_of_the_standard_and_one_role_each(release):
    signed = release["root"][0]["signed"]
    for keyid, key in signed["keys"].items():
        text = json.dumps(key, sort_keys=True, separators=(",", ":"))
        assert keyid == hashlib.sha256(text.encode()).hexdigest()
        assert (key["keytype"], key["scheme"]) == ("ed25519", "ed25519")
    used = [keyid for role in signed["roles"].values() for keyid in role["keyids"]]
    assert sorted(used) == sorted(signed["keys"])
    assert sorted(signed["roles"]) == sorted(ROLES)
    assert signed["consistent_snapshot"] is True


def test_both_dialects_sign_the_same_targets_under_the_same_key_ids(release):
    uptane, tuf = release["targets"]
    assert uptane["signed"]["targets"] == tuf["signed"]["targets"]
    for role, (one, other) in release.items():
        ids = [{entry["keyid"] for entry in file["signatures"]} for file in (one, other)]
        assert ids[0] == ids[1] == set(release["root"][0]["signed"]["roles"][role]["keyids"])


def test_a_target_entry_holds_what_both_kinds_of_client_need(server, release):
    entry = release["targets"][0]["signed"]["targets"]["dialects-1"]
    assert entry["length"] == 1
    assert entry["hashes"]["sha256"] == hashlib.sha256(b"x").hexdigest()
    custom = entry["custom"]
    wanted = {"name": "dialects", "version": "1", "hardwareIds": ["docker-compose"], "targetFormat": "BINARY"}
    assert wanted.items() <= custom.items()
    for stamp in ("createdAt", "updatedAt"):
        datetime.strptime(custom[stamp], "%Y-%m-%dT%H:%M:%SZ")


def test_the_line_about_targets_is_exact_in_both_dialects(server, release):
    version = release["targets"][0]["signed"]["version"]
    for prefix, snapshot in zip(("/repo", "/tuf"), release["snapshot"], strict=True):
        raw = get(server, f"{prefix}/{version}.targets.json")
        line = snapshot["signed"]["meta"]["targets.json"]
        assert (line["version"], line["length"]) == (version, len(raw))
        assert line["hashes"]["sha256"] == hashlib.sha256(raw).hexdigest()


def test_root_and_first_roots_are_the_same_to_a_device_that_walks(server):
    device = UptaneDevice(server.repo, "docker-compose", strict=True)
    device.refresh()
    assert device.requests[:2] == ["1.root.json", "2.root.json"]
    assert get(server, "/repo/root.json") == get(server, "/repo/1.root.json")
    assert get(server, "/tuf/root.json") == get(server, "/tuf/1.root.json")
