"""A repository that outgrows targets.json: every client goes on finding everything, and ours first."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.calls import delete, patch, refused
from api.sources import call
from device.external import (
    BOTH,
    HARDWARE,
    JUDGES,
    OVERLAP,
    bytes_of,
    carrier,
    client,
    delegations,
    device_get,
    every_client,
    snapshot_lines,
    supplier,
)
from device.names import NAMES, VERSION
from harness import Server, package_path, running_server, upload

SMALL = {"OTARIUM_FIRST_SHELF_PACKAGES": "4", "OTARIUM_SHELF_PACKAGES": "3"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running_server(tmp_path / "data", env=SMALL, workers=2) as running:
        yield running


def body(package_id: str) -> bytes:
    return f"the bytes of {package_id}".encode()


def put(server: Server, *ids: str) -> None:
    for package_id in ids:
        name, _, version = package_id.rpartition("-")
        upload(server, name, version, body(package_id), [HARDWARE])


def bodies(*ids: str) -> dict[str, bytes]:
    return {package_id: body(package_id) for package_id in ids}


def in_targets(server: Server, dialect: str = "repo") -> set[str]:
    return set(json.loads(device_get(server, f"/{dialect}/targets.json").body)["signed"]["targets"])


def order(server: Server, dialect: str = "repo") -> list[tuple[str, list[str]]]:
    return [(role["name"], role["paths"]) for role in delegations(server, dialect)["roles"]]


def shelf_versions(server: Server) -> dict[str, int]:
    lines = snapshot_lines(server, "tuf")
    assert lines == snapshot_lines(server, "repo")
    assert all(set(line) == {"version"} for line in lines.values())
    return {role: line["version"] for role, line in lines.items()}


FIRST = ("app-1", "app-2", "app-core-1", "os/image-1")
LATER = ("app-3", "app-4", "app-core-2", "new-1")
DASHED = "app-core/none-7"


@every_client
def test_a_client_that_comes_back_finds_all_before_and_after_the_move(judge, server, tmp_path) -> None:
    device = client(judge, server, tmp_path)
    put(server, *FIRST)
    assert in_targets(server) == set(FIRST) and order(server) == []
    assert device.follow(*FIRST) == bodies(*FIRST)
    put(server, *LATER)
    assert in_targets(server) == in_targets(server, "tuf") == set()
    everything = (*FIRST, *LATER)
    assert device.follow(*everything, "app-9", DASHED) == bodies(*everything)
    assert client(judge, server, tmp_path / "fresh").follow(*everything, "app-9") == bodies(*everything)


def test_the_move_is_one_release(server) -> None:
    put(server, *FIRST)
    before = json.loads(device_get(server, "/repo/timestamp.json").body)["signed"]["version"]
    put(server, "app-3")
    after = json.loads(device_get(server, "/repo/timestamp.json").body)["signed"]["version"]
    assert after == before + 1
    assert order(server) == order(server, "tuf")
    assert order(server) == [
        ("p-0002", ["app-core-*"]),
        ("p-0003", ["os/image-*"]),
        ("p-0001", ["app-*"]),
    ]


@every_client
def test_a_version_that_spells_a_longer_name_is_found(judge, server, tmp_path) -> None:
    put(server, *FIRST, *LATER)
    upload(server, "app", "core-9", body("app-core-9"), [HARDWARE])
    found = client(judge, server, tmp_path).follow("app-core-9", "app-core-1", "app-1")
    assert found == bodies("app-core-9", "app-core-1", "app-1")


@every_client
def test_edits_and_deletions_on_closed_pages_reach_clients(judge, server, tmp_path) -> None:
    ids = tuple(f"app-{number}" for number in range(1, 9))
    put(server, *ids)
    device = client(judge, server, tmp_path)
    assert device.follow(*ids) == bodies(*ids)
    before = shelf_versions(server)
    assert delete(server, "app-2").status == 200
    assert patch(server, "app-1", {"comment": "unsigned"}).status == 200
    changed = {role for role, version in shelf_versions(server).items() if version != before[role]}
    assert len(changed) == 1, "only the page of app-2 was signed again"
    left = tuple(one for one in ids if one != "app-2")
    assert device.follow(*ids) == bodies(*left)
    put(server, "app-2")
    assert device.follow(*ids) == bodies(*ids)


def test_clients_follow_a_name_of_which_the_last_three_versions_are_kept(tmp_path) -> None:
    """Pages fill, empty, are delegated to no more, and are filled once more; clients remember all of it."""
    env = {"OTARIUM_FIRST_SHELF_PACKAGES": "1", "OTARIUM_SHELF_PACKAGES": "2"}
    with running_server(tmp_path / "data", env=env) as server:
        put(server, "app-core-1", "app-0", "app-1", "app-2")
        devices = [client(judge, server, tmp_path) for judge in JUDGES]
        for number in range(3, 130):
            put(server, f"app-{number}")
            assert delete(server, f"app-{number - 3}").status == 200
            if number in (3, 4, 5, 6, 7, 60, 61, 129):
                ids = [f"app-{one}" for one in range(number - 5, number + 1)]
                for device in devices:
                    assert device.follow(*ids, "app-core-1") == bodies(*ids[3:], "app-core-1")
        assert len(order(server)) <= 4 and len(shelf_versions(server)) <= 5
        assert server.run("verify").returncode == 0


@every_client
def test_a_client_follows_a_shelf_whose_pages_are_emptied_and_come_back(judge, server, tmp_path) -> None:
    ids = [f"app-{number}" for number in range(9)]
    put(server, *ids)
    device = client(judge, server, tmp_path)
    assert device.follow(*ids) == bodies(*ids)
    pages, versions = order(server), shelf_versions(server)
    for package_id in ids[:6]:
        assert delete(server, package_id).status == 200
    assert order(server) == order(server, "tuf") == pages[:1]
    assert set(shelf_versions(server)) == set(versions), "a line that was in a snapshot stays"
    assert device.follow(*ids) == bodies(*ids[6:])
    put(server, *ids[:3])
    assert [role for role, _ in order(server)] == [pages[2][0], pages[0][0]]
    assert device.follow(*ids) == bodies(*ids[:3], *ids[6:])
    assert client(judge, server, tmp_path / "fresh").follow(*ids) == bodies(*ids[:3], *ids[6:])
    assert all(shelf_versions(server)[role] >= version for role, version in versions.items())


@every_client
def test_a_name_whose_last_package_went_comes_back(judge, server, tmp_path) -> None:
    put(server, *FIRST, *LATER)
    device = client(judge, server, tmp_path)
    assert device.follow("new-1") == bodies("new-1")
    before = shelf_versions(server)
    assert delete(server, "new-1").status == 200
    assert device.follow("new-1", "app-1") == bodies("app-1")
    put(server, "new-2")
    assert device.follow("new-1", "new-2") == bodies("new-2")
    after = shelf_versions(server)
    assert set(before) <= set(after), "a line that was in a snapshot stays"
    assert all(after[role] >= version for role, version in before.items())


def test_no_two_files_of_the_targets_key_share_a_version(server) -> None:
    ids = [f"n{number % 5}-{number}" for number in range(30)]
    seen: dict[int, set[bytes]] = {}
    for package_id in ids:
        put(server, package_id)
        for role, version in (shelf_versions(server) | targets_version(server)).items():
            seen.setdefault(version, set()).add(device_get(server, f"/tuf/{version}.{role}.json").body)
    assert all(len(files) == 1 for files in seen.values())


def targets_version(server: Server) -> dict[str, int]:
    return {"targets": json.loads(device_get(server, "/tuf/targets.json").body)["signed"]["version"]}


def test_plain_names_below_delegations_belong_to_the_release_that_a_device_saw(server) -> None:
    put(server, *FIRST, *LATER)
    device = client("uptane", server, Path())
    device.device.refresh()
    put(server, "app-9")
    assert device.device.download("new-1") == body("new-1")


@every_client
def test_odd_names_of_every_script_are_found_on_shelves(judge, server, tmp_path) -> None:
    ids = [f"{name}-{VERSION}" for name in NAMES]
    for name, package_id in zip(NAMES, ids, strict=True):
        upload(server, name, VERSION, body(package_id), [HARDWARE])
    assert in_targets(server) == set()
    assert client(judge, server, tmp_path).follow(*ids) == bodies(*ids)


def test_clients_follow_while_names_move_off(server, tmp_path) -> None:
    """The whole way from nothing to pages, with clients that look all the time."""
    ids = [f"n{number % 3}-{number}" for number in range(24)]
    devices = {judge: client(judge, server, tmp_path / judge) for judge in JUDGES}
    put(server, ids[0])
    failures: list[str] = []
    going = threading.Event()

    def watch(judge: str) -> None:
        while not going.is_set():
            if devices[judge].follow(ids[0]) != bodies(ids[0]):
                failures.append(judge)

    watchers = [threading.Thread(target=watch, args=(judge,)) for judge in JUDGES]
    for one in watchers:
        one.start()
    put(server, *ids[1:])
    going.set()
    for one in watchers:
        one.join()
    assert failures == []
    for device in devices.values():
        assert device.follow(*ids) == bodies(*ids)


def test_names_too_alike_are_refused_and_change_nothing(server) -> None:
    names = ["-".join(["a"] * depth) for depth in range(1, 34)]
    put(server, *(f"{name}-1" for name in names[:32]))
    before = device_get(server, "/repo/timestamp.json").body
    answer = upload(server, names[32], "1", b"one too many", [HARDWARE], status=409)
    assert answer["code"] == "conflicting_entity" and "33 roles" in answer["msg"]
    assert device_get(server, "/repo/timestamp.json").body == before
    assert device_get(server, f"/repo/targets/{names[32]}-1").status == 404
    upload(server, "b", "1", b"another name", [HARDWARE])


@every_client
def test_the_last_of_32_roles_is_found_and_what_would_stand_behind_it_is_refused(judge, tmp_path) -> None:
    """Whoever publishes that: we, or a source beside whose packages pages of ours would stand."""
    env = {"OTARIUM_FIRST_SHELF_PACKAGES": "1", "OTARIUM_SHELF_PACKAGES": "1"}
    with carrier(tmp_path / "data", **env) as (server, host):
        put(server, *(f"app-{number}" for number in range(32)))
        device = client(judge, server, tmp_path / "device")
        assert device.follow("app-0") == bodies("app-0")
        assert "33 roles for 'app-" in upload(server, "app", "32", b"x", [HARDWARE], status=409)["msg"]
        nightly = supplier(host, "nightly", "app-nightly-1", lists=BOTH, paths=["app-nightly-*"])
        assert nightly.add(server)["state"] == "refused"
        refusal = refused(nightly.refresh(server), 400, "invalid_delegated_target", "33 roles", "nightly")
        assert refusal["cause"] == ["app-nightly-1"]
        assert device.follow("app-0", "app-nightly-1") == bodies("app-0")
        delete(server, "app-7")
        assert nightly.refresh(server).status == 200
        theirs = {"app-nightly-1": bytes_of("nightly", "app-nightly-1")}
        assert device.follow("app-0", "app-nightly-1") == bodies("app-0") | theirs
        refusal = upload(server, "app", "32", b"x", [HARDWARE], headers=OVERLAP, status=409)
        assert refusal["cause"] == ["app-nightly-1"]
        assert device.follow("app-0", "app-nightly-1") == bodies("app-0") | theirs


@pytest.mark.parametrize("added", ["before", "after"])
@every_client
def test_a_source_of_everything_never_stands_before_own_packages(judge, added, tmp_path) -> None:
    """Also where it was added while there was one shelf, whatever it says of own names, and of names that
    were its own before they became ours."""
    with carrier(tmp_path / "data", **SMALL) as (server, host):
        greedy = supplier(host, "greedy", *FIRST, *LATER, "theirs-1", lists=BOTH, paths=["*", "*/*"])
        put(server, *FIRST)
        device = client(judge, server, tmp_path / "device")
        if added == "before":
            greedy.add(server, acceptOverlap=True)
        theirs = {package_id: bytes_of("greedy", package_id) for package_id in (*LATER, "theirs-1")}
        expected = bodies(*FIRST) | (theirs if added == "before" else {})
        assert device.follow(*FIRST, *LATER, "theirs-1") == expected
        for package_id in LATER:
            name, _, version = package_id.rpartition("-")
            upload(server, name, version, body(package_id), [HARDWARE], headers=OVERLAP)
        if added == "after":
            greedy.add(server, acceptOverlap=True)
        assert in_targets(server) == set()
        for dialect in ("repo", "tuf"):
            names = [role["name"] for role in delegations(server, dialect)["roles"]]
            assert names[-1] == "greedy" and all(name.startswith("p-") for name in names[:-1])
        for one in (device, client(judge, server, tmp_path / "fresh")):
            assert one.follow(*FIRST, *LATER, "theirs-1") == theirs | bodies(*FIRST, *LATER)


def test_sources_count_among_the_roles_that_a_client_looks_through(tmp_path) -> None:
    with carrier(tmp_path / "data", **SMALL) as (server, host):
        put(server, *(f"app-{number}" for number in range(1, 86)))
        many = [supplier(host, f"wide{number}", lists=BOTH, paths=["*"]) for number in range(4)]
        for one in many[:3]:
            one.add(server, acceptOverlap=True)
        answer = call(server, "POST", body=many[3].bundle(acceptOverlap=True))
        refused(answer, 409, "conflicting_entity", "33 roles", "narrower")
        narrow = supplier(host, "narrow", lists=BOTH, paths=["narrow/*"])
        narrow.add(server)
        upload(server, "app", "86", b"on the 29th page", [HARDWARE], headers=OVERLAP)


def test_shelves_are_signed_again_long_before_they_expire(tmp_path) -> None:
    lifetime = {"OTARIUM_TARGETS_LIFETIME": "8", "OTARIUM_TIMESTAMP_LIFETIME": "4"}
    with running_server(tmp_path / "data", env=SMALL | lifetime) as server:
        put(server, *FIRST, *LATER)
        before = shelf_versions(server)
        time.sleep(9)
        after = shelf_versions(server)
        assert all(after[role] > version for role, version in before.items())
        assert client("uptane", server, tmp_path / "d").follow(*FIRST) == bodies(*FIRST)
        assert client("python-tuf", server, tmp_path / "d").follow(*LATER) == bodies(*LATER)


@every_client
def test_the_layout_can_be_changed_there_and_back(judge, tmp_path) -> None:
    everything = (*FIRST, *LATER)
    with running_server(tmp_path / "data", env=SMALL) as server:
        put(server, *everything)
        device = client(judge, server, tmp_path / "device")
        assert device.follow(*everything) == bodies(*everything)
        for layout, inside in (("flat", set(everything)), ("shelves", set())):
            server.stop()
            server.env = SMALL | {"OTARIUM_LAYOUT": layout}
            server.start()
            assert in_targets(server) == inside
            assert (order(server) == []) == (layout == "flat")
            assert device.follow(*everything) == bodies(*everything)
            put(server, f"{layout}-1")
            assert device.follow(f"{layout}-1") == bodies(f"{layout}-1")
            assert server.run("verify").returncode == 0


def test_an_own_package_is_served_by_its_name_wherever_it_stands(server) -> None:
    put(server, *FIRST, *LATER)
    for package_id in (*FIRST, *LATER):
        path = package_path(package_id).removeprefix("/packages")
        assert device_get(server, f"/repo/targets{path}").body == body(package_id)


def test_what_is_listed_for_pages_that_do_not_exist_is_not_found(server) -> None:
    put(server, *FIRST, *LATER)
    for path in ("/repo/delegations/p-9999.json", "/repo/p-0001.json", "/tuf/1.p-0001.json"):
        assert device_get(server, path).status == 404
