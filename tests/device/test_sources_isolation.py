"""Whatever one source does, other sources and own packages stay what they are, byte for byte."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from api.sources import call, done, show
from device.external import (
    BOTH,
    HARDWARE,
    OVERLAP,
    Supplier,
    bytes_of,
    carrier,
    client,
    device_get,
    every_client,
    role_of,
    snapshot_lines,
    supplier,
)
from harness import upload
from judges.uptane_canonical import canonical
from publisher import Publisher, target, when

OTHERS = {"calm-vouched": ("uptane",), "calm-both": BOTH}
SEARCHED_FIRST = ["*", "*/*"]


@pytest.fixture(scope="module")
def carried(tmp_path_factory):
    """A server with own packages and two calm sources, its host, and clients that come back."""
    directory = tmp_path_factory.mktemp("isolation")
    with carrier(directory / "data") as (server, host):
        upload(server, "mine", "1", b"mine", [HARDWARE])
        for name, lists in OTHERS.items():
            supplier(host, name, lists=lists).add(server, vouch=len(lists) == 1)
        yield server, host, [client(judge, server, directory) for judge in ("uptane", "python-tuf", "tuf-js")]


def picture(server, names) -> dict[str, bytes]:
    """What devices are served of these sources and of own packages."""
    seen = {}
    for dialect in ("repo", "tuf"):
        ours = json.loads(device_get(server, f"/{dialect}/targets.json").body)["signed"]["targets"]
        seen[f"{dialect} own"] = canonical(ours)
        lines = snapshot_lines(server, dialect)
        for name in names:
            seen[f"{dialect} line of {name}"] = canonical(lines.get(name))
            seen[f"{dialect} delegation to {name}"] = canonical(role_of(server, dialect, name))
            if name in lines:
                path = f"/{dialect}/{lines[name]['version']}.{name}.json"
                seen[f"{dialect} file of {name}"] = device_get(server, path).body
    return seen


def unsigned(one: Supplier) -> bytes:
    signed = json.loads(one.raw["uptane"])["signed"] | {"version": 9}
    return canonical({"signatures": [], "signed": signed})


def by_others(one: Supplier) -> bytes:
    return Publisher("stranger").uptane(target(f"{one.name}/os-2"), version=9)


def put(make: Callable[[Supplier], bytes], _server: Any, one: Supplier) -> None:
    one.host.put(one.path("uptane"), make(one))


def list_of(one: Supplier, **members: Any) -> bytes:
    return one.publisher.uptane(target(f"{one.name}/os-2"), **{"version": 9, **members})


def answers(status: int, _server: Any, one: Supplier) -> None:
    one.host.status(one.path("uptane"), status)


def edited(members: dict[str, Any], server: Any, one: Supplier) -> None:
    done(call(server, "PATCH", f"/{one.name}", members))


def removed(server: Any, one: Supplier) -> None:
    done(call(server, "DELETE", f"/{one.name}"))


def returned(server: Any, one: Supplier) -> None:
    """Under its name, with keys that have signed nothing yet."""
    removed(server, one)
    one.publisher = Publisher(one.name, SEARCHED_FIRST, keys=2, threshold=2)
    one.add(server, acceptOverlap=True)


def run_out(server: Any, one: Supplier) -> None:
    """Its newest file is taken over, and expires while it is served."""
    one.host.put(one.path("uptane"), list_of(one, expires=when(time.time() + 2)))
    done(one.refresh(server))
    while show(server, one.name)["state"] != "expired":
        time.sleep(0.2)


NESTED = {"keys": {}, "roles": [{"name": "x", "keyids": [], "threshold": 1, "paths": ["*"]}]}
FETCH, READ = "delegation_remote_fetch_failed", "delegation_remote_parse_failed"
SIGN, VERSION = "payload_signature_invalid", "invalid_version_bump"


@dataclass(frozen=True)
class Breakage:
    how: Callable[[Any, Supplier], None]
    code: str | None = None
    """With which a refresh is refused; None where the breakage is something that was asked for."""


BREAKAGES = {
    "dead": Breakage(partial(answers, 500), FETCH),
    "gone": Breakage(partial(answers, 404), FETCH),
    "moved": Breakage(partial(edited, {"fetchUrl": "http://127.0.0.1:1/x.json"}), FETCH),
    "unsigned": Breakage(partial(put, unsigned), SIGN),
    "signed by others": Breakage(partial(put, by_others), SIGN),
    "rolled back": Breakage(partial(put, partial(list_of, version=4)), VERSION),
    "changed without a version": Breakage(partial(put, partial(list_of, version=5)), VERSION),
    "expired": Breakage(partial(put, partial(list_of, expires=when(1))), "delegation_expired"),
    "not JSON": Breakage(partial(put, lambda one: b"<html>"), READ),
    "nested": Breakage(partial(put, partial(list_of, delegations=NESTED)), "invalid_delegated_target"),
    "of another type": Breakage(partial(put, partial(list_of, _type="Snapshot")), READ),
    "emptied": Breakage(partial(put, lambda one: one.publisher.uptane({}, version=9))),
    "disabled": Breakage(partial(edited, {"enabled": False})),
    "vouched for no more": Breakage(partial(edited, {"vouch": False})),
    "removed": Breakage(removed),
    "back with other keys": Breakage(returned),
    "expired while served": Breakage(run_out),
}


@pytest.mark.parametrize("kind", BREAKAGES)
def test_others_stay_byte_identical_when_a_source_is(carried, kind):
    """The broken one is searched first, for every name."""
    server, host, clients = carried
    breakage, name = BREAKAGES[kind], f"b-{kind.replace(' ', '-')}"
    one = supplier(host, name, paths=SEARCHED_FIRST)
    one.publish(f"{name}/os-1", version=5)
    one.add(server, vouch=True, acceptOverlap=True)
    names = [source["name"] for source in done(call(server, "GET"))["values"]]
    done(call(server, "PUT", body={"names": [name, *(other for other in names if other != name)]}))
    before, with_it = picture(server, OTHERS), picture(server, [name])
    release = device_get(server, "/tuf/timestamp.json").body

    breakage.how(server, one)
    answer = one.refresh(server)
    assert picture(server, OTHERS) == before
    if breakage.code:
        assert answer.json["code"] == breakage.code
        assert picture(server, [name]) == with_it
        assert device_get(server, "/tuf/timestamp.json").body == release
    wanted = {"mine-1": b"mine"} | {f"{other}/os-1.0": bytes_of(other, f"{other}/os-1.0") for other in OTHERS}
    for known in clients[:2] if breakage.code else clients:  # nothing is new after a refusal
        assert known.follow(*wanted, "none-1") == wanted
    if answer.status != 404:
        removed(server, one)
    assert picture(server, OTHERS) == before


@pytest.mark.parametrize("kind", ["dead", "unsigned"])
def test_a_source_without_content_yet_changes_nothing_of_what_is_served(carried, kind):
    server, host, clients = carried
    one = supplier(host, f"empty-{kind}", paths=SEARCHED_FIRST)
    BREAKAGES[kind].how(server, one)
    before = {path: device_get(server, path).body for path in ("/repo/snapshot.json", "/tuf/timestamp.json")}
    shown = one.add(server, vouch=True, acceptOverlap=True)
    assert shown["problem"]["code"] == BREAKAGES[kind].code
    assert {path: device_get(server, path).body for path in before} == before
    for known in clients:
        assert known.follow("mine-1") == {"mine-1": b"mine"}


@every_client
@pytest.mark.parametrize("theirs_first", [True, False], ids=["before", "after"])
def test_a_hostile_source_for_every_name_that_is_added(carried, tmp_path, judge, theirs_first):
    """It lists ids of ours, and what TUF clients ask for to get ours."""
    server, host, _ = carried
    own, body = f"own-{judge}-{theirs_first}", f"ours for {judge}".encode()
    hashed = f"{hashlib.sha256(body).hexdigest()}.{own}"
    theirs = supplier(host, f"star-{judge}-{theirs_first}".lower(), paths=SEARCHED_FIRST)
    theirs.publish(*(f"{name}-{version}" for name in (own, hashed, f"deep/{own}") for version in "123"))

    def add() -> None:
        assert theirs.add(server, vouch=True, acceptOverlap=True)["state"] == "fresh"

    if theirs_first:
        add()
    for name, version in ((own, "1"), (own, "2"), (f"deep/{own}", "1")):
        upload(server, name, version, body, [HARDWARE], headers=OVERLAP)
    if not theirs_first:
        add()
    found = client(judge, server, tmp_path).follow(f"{own}-1", f"{own}-2", f"deep/{own}-1", f"{own}-3")
    assert found == dict.fromkeys((f"{own}-1", f"{own}-2", f"deep/{own}-1"), body) | {
        f"{own}-3": bytes_of(theirs.name, f"{own}-3")
    }
