"""Whom devices are told to trust for external packages, in which order, and which release they see."""

import json

import pytest

from api.sources import call, done
from device.external import (
    BOTH,
    HARDWARE,
    OVERLAP,
    bytes_of,
    carrier,
    client,
    delegations,
    device_get,
    every_client,
    role_of,
    supplier,
)
from harness import upload
from judges.uptane import UptaneDevice
from judges.uptane_errors import NotMatching
from judges.uptane_transport import HttpFetch


@pytest.fixture(scope="module")
def carried(tmp_path_factory):
    """A server of two workers and its host."""
    with carrier(tmp_path_factory.mktemp("trust") / "data", workers=2) as running:
        yield running


def keys_of(server, role):
    root = json.loads(device_get(server, "/tuf/1.root.json").body)["signed"]
    return set(root["roles"][role]["keyids"])


def test_each_vouched_source_has_a_key_of_its_own_that_signs_nothing_else(carried):
    server, host = carried
    names = ("vouched-a", "vouched-b", "vouched-c")
    for name in names:
        supplier(host, name).add(server, vouch=True)
    signers = [tuple(role_of(server, "tuf", name)["keyids"]) for name in names]
    assert all(len(key_ids) == 1 for key_ids in signers)
    assert len(set(signers)) == 3
    ours = {key for role in ("root", "targets", "snapshot", "timestamp") for key in keys_of(server, role)}
    assert not ours & {key for key_ids in signers for key in key_ids}
    for name, (key_id,) in zip(names, signers, strict=True):
        copy = json.loads(device_get(server, f"/tuf/1.{name}.json").body)
        assert [one["keyid"] for one in copy["signatures"]] == [key_id]
        assert key_id not in role_of(server, "repo", name)["keyids"]


def test_a_vouched_copy_says_what_the_publisher_said(carried):
    server, host = carried
    one = supplier(host, "copied", "copied/a-1", "copied/b-2")
    one.add(server, vouch=True)
    theirs = json.loads(one.raw["uptane"])["signed"]
    copy = json.loads(device_get(server, "/tuf/1.copied.json").body)["signed"]
    assert {member: copy[member] for member in ("expires", "targets", "version")} == {
        member: theirs[member] for member in ("expires", "targets", "version")
    }
    assert set(copy) == {"_type", "expires", "spec_version", "targets", "version"}


def test_the_key_of_a_source_stays_when_it_publishes_is_switched_or_comes_back(carried):
    server, host = carried
    one = supplier(host, "lasting")
    one.add(server, vouch=True)
    before = role_of(server, "tuf", "lasting")["keyids"]
    one.publish(version=2)
    done(one.refresh(server))
    assert role_of(server, "tuf", "lasting")["keyids"] == before
    for vouch in (False, True):
        done(call(server, "PATCH", "/lasting", {"vouch": vouch}))
        assert (role_of(server, "tuf", "lasting") is not None) is vouch
    assert role_of(server, "tuf", "lasting")["keyids"] == before
    done(call(server, "DELETE", "/lasting"))
    one.publish(version=3)
    one.add(server, vouch=True)
    assert role_of(server, "tuf", "lasting")["keyids"] == before


def test_nothing_that_we_sign_is_terminating_though_a_bundle_asks_for_it(carried):
    server, host = carried
    one = supplier(host, "terminator", lists=BOTH)
    bundle = one.bundle()
    bundle["delegationMetadata"]["terminating"] = True
    done(call(server, "POST", body=bundle))
    for dialect in ("repo", "tuf"):
        assert role_of(server, dialect, "terminator")["terminating"] is False
        assert {role["terminating"] for role in delegations(server, dialect)["roles"]} == {False}


def test_delegations_stand_in_the_order_that_was_set(carried):
    server, host = carried
    for name in ("order-a", "order-b", "order-c"):
        supplier(host, name).add(server, vouch=True)
    names = [source["name"] for source in done(call(server, "GET"))["values"]]
    for wanted in (list(reversed(names)), names):
        done(call(server, "PUT", body={"names": wanted}))
        for dialect in ("repo", "tuf"):
            assert [role["name"] for role in delegations(server, dialect)["roles"]] == [
                name for name in wanted if role_of(server, dialect, name)
            ]


@every_client
def test_the_first_of_two_sources_in_the_operators_order_wins(carried, tmp_path, judge):
    server, host = carried
    name = f"shared-{judge}-1"
    pair = [supplier(host, f"{place}-{judge}", name, lists=BOTH, paths=[name]) for place in ("x", "y")]
    for one in pair:
        one.add(server)
    known = client(judge, server, tmp_path)
    assert known.follow(name) == {name: bytes_of(pair[0].name, name)}
    names = [source["name"] for source in done(call(server, "GET"))["values"]]
    done(call(server, "PUT", body={"names": [pair[1].name, *(one for one in names if one != pair[1].name)]}))
    assert known.follow(name) == {name: bytes_of(pair[1].name, name)}


@every_client
@pytest.mark.parametrize("ours_first", [True, False], ids=["ours first", "theirs first"])
def test_an_own_package_wins_over_a_source_that_lists_the_same_id(carried, tmp_path, judge, ours_first):
    server, host = carried
    name = f"both-{judge}-{ours_first}"
    theirs = supplier(host, name, f"{name}-1", f"{name}-2", lists=BOTH, paths=[f"{name}-*"])
    if ours_first:
        upload(server, name, "1", b"ours", [HARDWARE])
    theirs.add(server, acceptOverlap=True)
    if not ours_first:
        known = client(judge, server, tmp_path)
        assert known.follow(f"{name}-1") == {f"{name}-1": bytes_of(name, f"{name}-1")}
        upload(server, name, "1", b"ours", [HARDWARE], headers=OVERLAP)
    found = client(judge, server, tmp_path).follow(f"{name}-1", f"{name}-2")
    assert found == {f"{name}-1": b"ours", f"{name}-2": bytes_of(name, f"{name}-2")}


def device(server, address):
    return UptaneDevice(server.repo, HARDWARE, fetch=HttpFetch(address), strict=True)


def test_a_device_that_took_a_timestamp_still_gets_the_file_of_its_release(carried):
    server, host = carried
    one = supplier(host, "cycle", "cycle/old-1")
    one.add(server)
    early, late = device(server, "127.0.0.41"), device(server, "127.0.0.42")
    early._refresh_root()
    early._refresh_timestamp()
    for version in (2, 3):
        one.publish("cycle/new-1", version=version)
        done(one.refresh(server))
    late.refresh()
    assert late.download("cycle/new-1") == bytes_of("cycle", "cycle/new-1")
    early._refresh_snapshot()
    early._refresh_targets()
    assert early.find("cycle/old-1").role == "delegations/cycle.json"
    with pytest.raises(NotMatching):
        early.find("cycle/new-1")
    early.refresh()
    assert early.download("cycle/new-1") == bytes_of("cycle", "cycle/new-1")
    with pytest.raises(NotMatching):
        early.find("cycle/old-1")


def test_a_device_in_the_middle_of_a_cycle_is_not_stopped_by_a_removal(carried):
    server, host = carried
    supplier(host, "leaving").add(server)
    early = device(server, "127.0.0.43")
    early._refresh_root()
    early._refresh_timestamp()
    done(call(server, "DELETE", "/leaving"))
    early._refresh_snapshot()
    early._refresh_targets()
    assert early.find("leaving/os-1.0").role == "delegations/leaving.json"
    early.refresh()
    with pytest.raises(NotMatching):
        early.find("leaving/os-1.0")
