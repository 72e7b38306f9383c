"""Sources that leave, come back or near their expiry stop no client, whatever it remembers."""

import time

import pytest

from api.sources import call, done, show
from device.external import (
    BOTH,
    HARDWARE,
    bytes_of,
    carrier,
    client,
    every_client,
    role_of,
    snapshot_lines,
    supplier,
)
from harness import upload
from publisher import Publisher, when

RUNS = {"uptane": 100, "python-tuf": 100, "tuf-js": 4}
LEAVES = 3600
"""Seconds before its expiry at which a source leaves the delegations of /tuf."""
DIALECTS = ("repo", "tuf")


@pytest.fixture(scope="module")
def carried(tmp_path_factory):
    """A server that looks every second for what is due, and its host."""
    data = tmp_path_factory.mktemp("removal") / "data"
    with carrier(data, OTARIUM_TIMESTAMP_LIFETIME="16") as running:
        yield running


@every_client
def test_clients_that_knew_a_removed_source_go_on_for_ever(carried, tmp_path, judge):
    server, host = carried
    name = f"left-{judge}"
    own, theirs = f"own-{judge}", f"{name}/os-1.0"
    supplier(host, name, lists=BOTH).add(server)
    known = client(judge, server, tmp_path)
    assert known.follow(theirs) == {theirs: bytes_of(name, theirs)}
    lines = {dialect: snapshot_lines(server, dialect)[name] for dialect in DIALECTS}
    done(call(server, "DELETE", f"/{name}"))
    upload(server, own, "0", b"0", [HARDWARE])
    for number in range(RUNS[judge]):
        if number % 10 == 1:
            upload(server, own, str(number), b"x", [HARDWARE])
        assert known.follow(theirs, f"{own}-0") == {f"{own}-0": b"0"}
    assert {dialect: snapshot_lines(server, dialect)[name] for dialect in DIALECTS} == lines
    assert delegated(server, [name]) == [set()]


@pytest.mark.parametrize("lists", [("uptane",), BOTH], ids=["vouched", "both"])
@every_client
def test_a_source_that_comes_back_must_be_above_what_clients_saw(carried, tmp_path, judge, lists):
    server, host = carried
    name = f"back-{judge}-{len(lists)}"
    one = supplier(host, name, lists=lists)
    one.publish(f"{name}/os-5", version=5)
    one.add(server, vouch=True)
    known = client(judge, server, tmp_path)
    assert f"{name}/os-5" in known.follow(f"{name}/os-5")
    done(call(server, "DELETE", f"/{name}"))
    for package, version in (("os-4", 4), ("os-5", 5)):
        one.publish(f"{name}/{package}", version=version, note="other bytes")
        shown = one.add(server, vouch=True)
        assert (shown["state"], shown["problem"]["code"]) == ("refused", "invalid_version_bump")
        assert known.follow(f"{name}/{package}") == {}
        done(call(server, "DELETE", f"/{name}"))
    one.publish(f"{name}/os-6", version=6)
    assert one.add(server, vouch=True)["state"] == "fresh"
    found = known.follow(f"{name}/os-5", f"{name}/os-6")
    assert found == {f"{name}/os-6": bytes_of(name, f"{name}/os-6")}


@every_client
def test_a_source_may_come_back_with_other_keys(carried, tmp_path, judge):
    server, host = carried
    name = f"rekeyed-{judge}"
    one = supplier(host, name, lists=BOTH)
    one.add(server)
    known = client(judge, server, tmp_path)
    assert f"{name}/os-1.0" in known.follow(f"{name}/os-1.0")
    done(call(server, "DELETE", f"/{name}"))
    one.publisher = Publisher(name, keys=2, threshold=2)
    one.publish(f"{name}/os-2", version=2)
    assert one.add(server)["state"] == "fresh"
    assert known.follow(f"{name}/os-1.0", f"{name}/os-2") == {f"{name}/os-2": bytes_of(name, f"{name}/os-2")}


@pytest.mark.parametrize("how", ["edited", "added again"])
def test_a_publisher_that_gives_its_tuf_list_up_is_vouched_for_above_it(carried, tmp_path, how):
    server, host = carried
    name = f"dropped-{how.partition(' ')[0]}"
    one = supplier(host, name, lists=BOTH)
    one.put("tuf", one.publisher.tuf(one.package(f"{name}/os-1.0"), version=7))
    one.add(server)
    known = client("python-tuf", server, tmp_path)
    assert f"{name}/os-1.0" in known.follow(f"{name}/os-1.0")
    one.lists = ("uptane",)
    if how == "edited":
        done(call(server, "PATCH", f"/{name}", {"tufFetchUrl": None, "vouch": True}))
    else:
        done(call(server, "DELETE", f"/{name}"))
    for version in (2, 7, 8):
        one.publish(f"{name}/os-{version}", version=version)
        again = how != "edited" and version == 2
        shown = one.add(server, vouch=True) if again else done(one.refresh(server))
        live = {file["dialect"]: file["live"] for file in shown["files"]}
        assert (live, shown["state"]) == ({"uptane": True, "tuf": version == 8}, "fresh")
        assert any("from version 8 on" in text for text in shown["warnings"]) is (version < 8)
        assert not any("set vouch" in text for text in shown["warnings"])
        found = known.follow(f"{name}/os-{version}")
        assert found == ({f"{name}/os-8": bytes_of(name, f"{name}/os-8")} if version == 8 else {})


def test_the_same_bytes_are_taken_when_a_source_comes_back(carried, tmp_path):
    server, host = carried
    one = supplier(host, "same-bytes")
    for _ in range(3):
        assert one.add(server, vouch=True)["state"] == "fresh"
        assert "same-bytes/os-1.0" in client("python-tuf", server, tmp_path).follow("same-bytes/os-1.0")
        done(call(server, "DELETE", "/same-bytes"))


def delegated(server, names):
    """In which dialects each of them is."""
    return [{dialect for dialect in DIALECTS if role_of(server, dialect, name)} for name in names]


def test_an_expiring_source_leaves_the_delegations_of_tuf_alone_and_comes_back(carried, tmp_path):
    server, host = carried
    supplier(host, "calm").add(server, vouch=True)
    ends = int(time.time()) + LEAVES + 4
    soon = {"soon": supplier(host, "soon"), "soon-both": supplier(host, "soon-both", lists=BOTH)}
    for name, one in soon.items():
        one.publish(f"{name}/os-1.0", expires=when(ends))
        one.add(server, vouch=True)
    clients = {judge: client(judge, server, tmp_path) for judge in ("uptane", "python-tuf", "tuf-js")}
    everything = {f"{name}/os-1.0": bytes_of(name, f"{name}/os-1.0") for name in ("calm", *soon)}
    calm = {"calm/os-1.0": everything["calm/os-1.0"]}

    def found():
        return {judge: one.follow(*everything) for judge, one in clients.items()}

    assert found() == dict.fromkeys(clients, everything)
    lines = {dialect: snapshot_lines(server, dialect) for dialect in DIALECTS}
    assert delegated(server, soon) == [set(DIALECTS)] * 2

    time.sleep(max(0, ends - LEAVES + 1.5 - time.time()))
    assert delegated(server, soon) == [{"repo"}] * 2
    assert {dialect: snapshot_lines(server, dialect) for dialect in DIALECTS} == lines
    assert found() == {"uptane": everything, "python-tuf": calm, "tuf-js": calm}
    assert {show(server, name)["state"] for name in soon} == {"expiring"}

    for name, one in soon.items():
        one.publish(f"{name}/os-1.0", version=2)
        done(one.refresh(server))
    assert delegated(server, soon) == [set(DIALECTS)] * 2
    assert found() == dict.fromkeys(clients, everything)
    assert {show(server, name)["state"] for name in ("calm", *soon)} == {"fresh"}
