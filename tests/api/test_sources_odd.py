"""Publishers write anything into `custom`; no list breaks of it, and what no list can show is named."""

import json
import random
import time

import pytest

from api.calls import EVERYTHING
from api.mixed import PACKAGE_KEYS, page_of
from api.sources import add, delegated, feed, refresh, remove_all, rows, served, show
from harness import http
from judges.uptane_errors import Malformed
from judges.uptane_targets import read_targets
from publisher import OMIT, target
from torizon_io_api import PaginationResultExternalPackage, PaginationResultPackage

DEEP = json.loads("[" * 50 + "]" * 50)
ODD = [
    *(None, True, False, 0, -1, 2**53 - 1, "", " ", "x", "x" * 5000, "é😀\uffee", "\n\t\r", "\x00\x1f\x7f"),
    *("\u2028\u2029\u200b", "null", "{}", [], {}, [None], ["x", 5, None, {"a": []}], {"": {"a": [{}]}}, DEEP),
    *("9999-12-31T23:59:59Z", "0000-00-00T00:00:00Z", "1969-12-31T23:59:59Z", "2026-13-45T99:99:99Z", "now"),
    *("2026-01-02", "2026-01-02T03:04:05", "2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05+14:00"),
    *(
        "10000-01-01T00:00:00Z",
        "javascript:alert(1)",
        "https://",
        "https://user:p@example.com/",
        "HTTPS://X.COM/ü",
    ),
    *("binary", "OSTREE", "ostree ", ["hw"] * 100, [f"hw {n}" for n in range(100)], ["", " ", "a\nb", "é"]),
]
MEMBERS = ["name", "version", "hardwareIds", "targetFormat", "uri", "createdAt", "updatedAt", "cliUploaded"]
MEMBERS += ["supplyChainInfo", "compatibleWith", "ecuIdentifiers", "note"]


@pytest.fixture
def server(trusting):
    """Without sources, before and after each test."""
    yield trusting
    remove_all(trusting)


def every_odd_value(name, dialect):
    """A target for each member of custom and each odd value of it, and some where all are odd. For /repo only
    those that an Uptane device can read."""
    targets = some_of_all_odd_values(name)
    return {id_: one for id_, one in targets.items() if dialect == "tuf" or is_readable({id_: one})}


def is_readable(targets):
    try:
        read_targets({"targets": targets}, "odd")
    except Malformed:
        return False
    return True


def some_of_all_odd_values(name):
    chance, targets = random.Random(3), {}
    for member in MEMBERS:
        for number, value in enumerate(ODD):
            targets |= with_custom(f"{name}/{member}-{number}", {member: value})
    for number in range(150):
        chosen = {member: chance.choice(ODD) for member in chance.sample(MEMBERS, chance.randint(2, 9))}
        targets |= with_custom(f"{name}/all-{number}", chosen)
    return targets


def with_custom(package_id, members):
    made = target(package_id)
    made[package_id]["custom"] |= members
    return made


def check_shape(answer, total):
    assert (answer["total"], len(answer["values"])) == (total, total)
    for one in answer["values"]:
        assert isinstance(one["name"], str) and isinstance(one["version"], str)
        assert isinstance(one["size"], int) and one["size"] >= 0
        assert all(isinstance(hardware_id, str) and hardware_id for hardware_id in one["hardwareIds"])
        assert len(one["hardwareIds"]) <= 64
        assert one["pkgType"] in ("BINARY", "OSTREE")
        assert one["uri"] is None or one["uri"].lower().startswith(("http://", "https://"))
        assert one["proprietaryMeta"] is None or isinstance(one["proprietaryMeta"], dict)
        assert len(one["createdAt"]) == len("2026-01-02T03:04:05Z")


@pytest.mark.parametrize("dialect", ["repo", "tuf"])
def test_odd_custom_of_every_kind_never_breaks_a_list(server, host, dialect):
    name = f"odd-custom-{dialect}"
    odd = feed(host, name)
    targets = every_odd_value(name, dialect)
    assert len(targets) > 300
    raw = odd.publish(targets, 2, dialect)
    shown = add(server, odd)
    assert (shown["state"], shown["leftOut"]) == ("fresh", [])
    assert served(server, name, dialect) == raw
    for query in (f"limit={EVERYTHING}", "limit=1000", "limit=1000&sortBy=Filename&sortDirection=Asc"):
        answer = page_of(server, f"{query}&packageSource={name}")
        check_shape(answer, len(targets))
        assert all(set(one) == PACKAGE_KEYS for one in answer["values"])
        assert len(PaginationResultPackage.from_dict(answer).values) == len(targets)
    answer = page_of(server, f"limit={EVERYTHING}&idContains={name}/", "/api/v2/packages_external")
    check_shape(answer, len(targets))
    assert len(PaginationResultExternalPackage.from_dict(answer).values) == len(targets)
    for package_id in list(targets)[::25]:
        assert http(server, "GET", f"/api/v2/packages/{package_id}").status == 200


def test_what_is_usable_is_shown(server, host):
    """The name falls back to the target's, times to now, the rest to nothing."""
    some = {"name": 5, "version": [], "hardwareIds": ["ok", 5, "a\nb", "ok"], "uri": None}
    other = {"name": "", "uri": "javascript:x", "targetFormat": "ostree", "note": 1}
    targets = with_custom("usable/a-b-1.0", some) | with_custom("usable/c", other)
    targets |= target("usable/d-2") | target("usable/e-3")
    targets["usable/d-2"]["custom"] = None
    del targets["usable/e-3"]["custom"]
    usable = feed(host, "usable")
    usable.publish(targets, 2)
    add(server, usable)
    found = {one["packageId"]: one for one in rows(server, "usable")}
    assert set(found) == set(targets)
    first, second = found["usable/a-b-1.0"], found["usable/c"]
    assert (first["name"], first["version"], first["hardwareIds"]) == ("usable/a-b", "1.0", ["ok"])
    assert (second["name"], second["uri"], second["pkgType"]) == ("usable/c", None, "OSTREE")
    assert second["proprietaryMeta"] == {"note": 1}
    for package_id in ("usable/d-2", "usable/e-3"):
        assert (found[package_id]["name"], found[package_id]["hardwareIds"]) == (package_id[:-2], [])
        assert found[package_id]["createdAt"].startswith("20")


def test_a_package_that_would_take_the_list_from_devices_is_named_and_the_old_list_stays(server, host):
    heavy = feed(host, "heavy", version=1)
    before = heavy.publish(target("heavy/os-1.0"))
    add(server, heavy)
    targets = target("heavy/os-1.0") | target("heavy/odd-2")
    targets["heavy/odd-2"]["custom"] = "no object"
    heavy.publish(targets, 2)
    answer = refresh(server, "heavy")
    assert (answer.status, answer.json["code"]) == (400, "invalid_delegated_target")
    assert "'heavy/odd-2' with a custom that is no object" in answer.json["msg"]
    assert (show(server, "heavy")["state"], served(server, "heavy")) == ("refused", before)
    assert [one["packageId"] for one in rows(server, "heavy")] == ["heavy/os-1.0"]
    heavy.publish(targets, 2, "tuf")
    assert refresh(server, "heavy").status == 200
    assert {one["packageId"] for one in rows(server, "heavy")} == set(targets)


def test_what_no_list_can_show_is_named_with_its_reason_and_served_all_the_same(server, host):
    strange = {
        "left-out/" + "x" * 250: "bytes",
        "left-out/line\nbreak": "characters",
        "left-out/e\u0301": "characters",
        "left-out/\x00": "characters",
        "left-out/\u2028": "characters",
    }
    targets = target("left-out/good-1")
    for name in strange:
        targets[name] = target("x-1")["x-1"]
    targets["left-out/sha512"] = target("x-1")["x-1"] | {"hashes": {"sha512": "ab" * 64}}
    targets["left-out/short"] = target("x-1")["x-1"] | {"hashes": {"sha256": "ab"}}
    strange |= {"left-out/sha512": "sha256", "left-out/short": "sha256"}
    partly = feed(host, "left-out")
    raw = partly.publish(targets, 2)
    shown = add(server, partly)
    assert shown["state"] == "fresh"
    reasons = {one["target"]: one["reason"] for one in shown["leftOut"]}
    assert set(reasons) == set(strange)
    for name, word in strange.items():
        assert word in reasons[name]
    assert [one["packageId"] for one in rows(server, "left-out")] == ["left-out/good-1"]
    assert served(server, "left-out") == raw
    partly.publish(target("left-out/good-2"), 3)
    assert refresh(server, "left-out").status == 200
    assert show(server, "left-out")["leftOut"] == []


def test_an_empty_list_is_a_list(server, host):
    empty = feed(host, "empty-list", {})
    assert add(server, empty)["state"] == "fresh"
    assert (rows(server, "empty-list"), list(delegated(server))) == ([], ["empty-list"])


def test_a_package_without_a_time_keeps_the_one_at_which_it_was_first_seen(server, host):
    timeless = feed(host, "timeless", target("timeless/os-1", createdAt=OMIT))
    add(server, timeless)
    [first] = rows(server, "timeless")
    time.sleep(1.1)
    timeless.publish(target("timeless/os-1", createdAt=OMIT) | target("timeless/os-2"), 2)
    assert refresh(server, "timeless").status == 200
    assert {one["packageId"]: one for one in rows(server, "timeless")}["timeless/os-1"] == first
