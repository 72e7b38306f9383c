"""Two workers, one repository: what one acknowledged both serve; neither outlives the main process."""

import contextlib
import json
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path

import pytest

from api.calls import ids, patch, post, refused
from api.traces import agreed, release_of
from harness import PATIENCE, http, running_server, upload

GETS = 50


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("pair") / "data", workers=2) as running:
        yield running


def members_of(server):
    """The processes of the server's group, the main one included."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(") ")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == server.process.pid and fields[0] != "Z":
            found[int(stat.parent.name)] = (stat.parent / "cmdline").read_bytes().decode()
    return found


def test_both_workers_answer(pair):
    """Else the other tests here would prove nothing."""
    workers = [pid for pid in members_of(pair) if pid != pair.process.pid]
    before = {pid: _ticks_of(pid) for pid in workers}
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: http(pair, "GET", "/repo/timestamp.json"), range(200)))
    assert len(workers) == 2
    assert all(_ticks_of(pid) > before[pid] for pid in workers)


def _is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _ticks_of(pid):
    """The processor time that a worker has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[11]) + int(fields[12])


def everywhere(server, path, check):
    """`check` holds for each of many GETs, each over a new connection."""
    with ThreadPoolExecutor(8) as pool:
        for answer in pool.map(lambda _: http(server, "GET", path), range(GETS)):
            check(answer)


def test_after_each_200_every_worker_shows_what_was_written(pair):
    before = release_of(pair)
    for count in range(1, 5):
        body = f"body {count}".encode()
        made = upload(pair, "pair", str(count), body)

        def is_current(answer, expected=before + count):
            assert json.loads(answer.body)["signed"]["version"] >= expected

        def is_listed(answer, made=made):
            assert answer.json["values"] == [made]

        def is_there(answer, made=made):
            assert (answer.status, answer.json) == (200, made)

        def is_served(answer, body=body):
            assert answer.body == body

        package_id = made["packageId"]
        everywhere(pair, "/repo/timestamp.json", is_current)
        everywhere(pair, "/tuf/timestamp.json", is_current)
        everywhere(pair, f"/api/v2/packages/{package_id}", is_there)
        everywhere(pair, f"/api/v2/packages?packageIds={package_id}", is_listed)
        everywhere(pair, f"/repo/targets/{package_id}", is_served)


def test_after_an_edit_and_a_delete_every_worker_knows(pair):
    upload(pair, "pair-edit", "1", b"x")
    edited = patch(pair, "pair-edit-1", {"uri": "https://example.com/x"}).json

    def is_edited(answer):
        assert answer.json == edited

    def is_gone(answer):
        refused(answer, 404, "target_not_found")

    everywhere(pair, "/api/v2/packages/pair-edit-1", is_edited)
    assert http(pair, "DELETE", "/api/v2/packages/pair-edit-1").status == 200
    everywhere(pair, "/api/v2/packages/pair-edit-1", is_gone)


def test_uploads_over_both_workers_make_one_chain_of_releases(pair):
    before = release_of(pair)
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda number: upload(pair, "pair-many", str(number), b"x"), range(60)))
    found = agreed(pair)
    assert len(ids(pair, "name=pair-many&limit=100")) == 60
    assert before < release_of(pair) <= before + 60
    snapshot = json.loads(found.signed["/repo/snapshot.json"])["signed"]
    targets = json.loads(found.signed["/repo/targets.json"])["signed"]
    assert snapshot["meta"]["targets.json"]["version"] == targets["version"]
    verified = pair.run("verify", check=False)
    assert verified.returncode == 0, verified.stdout


def test_one_id_and_different_bytes_over_both_workers_make_one_package(pair):
    bodies = [f"{number}".encode() * 3000 for number in range(10, 26)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda body: post(pair, "pair-race", "1", body), bodies))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 15
    agreed(pair)


def test_killing_the_main_process_alone_leaves_no_worker_and_loses_nothing(tmp_path):
    with running_server(tmp_path / "data", workers=2) as server:
        acknowledged = []

        def keep_uploading():
            with contextlib.suppress(OSError, HTTPException):  # until the server is gone
                while True:
                    version = str(len(acknowledged))
                    upload(server, "killed", version, os.urandom(2000))
                    acknowledged.append(version)

        uploader = threading.Thread(target=keep_uploading)
        uploader.start()
        time.sleep(0.5)
        assert len(members_of(server)) >= 3
        server.kill_main()
        deadline = time.monotonic() + PATIENCE
        # A process that the kernel still takes apart holds its port for a moment longer than it is listed.
        while members_of(server) or _is_listening(server.port):
            assert time.monotonic() < deadline, members_of(server)
            time.sleep(0.02)
        uploader.join()
        server.start()
        assert acknowledged
        assert {f"killed-{version}" for version in acknowledged} <= set(agreed(server).packages)
        assert server.run("verify").returncode == 0
