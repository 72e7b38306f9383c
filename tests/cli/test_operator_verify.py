"""`otarium verify` names what is broken; `otarium backup` makes a copy in which nothing is."""

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from api.traces import agreed, blob_path
from harness import free_port, http, running_server, upload

SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("verify") / "data") as server:
        for version in "123":
            upload(server, "whole", version, f"bytes {version}".encode() * 1000)
        upload(server, "bare", "1", b"bare", [])
        yield server


@pytest.fixture(scope="module")
def tar(running, tmp_path_factory):
    path = tmp_path_factory.mktemp("backup") / "backup.tar"
    running.run("backup", str(path))
    return path


@pytest.fixture
def copy(running, tar, tmp_path):
    """A backup of the server's repository, unpacked and given its key: a test may break it."""
    return restored(running, tar, tmp_path / "data")


def restored(server, tar, folder):
    folder.mkdir(mode=0o700)
    with tarfile.open(tar) as archive:
        archive.extractall(folder, filter="data")
    shutil.copy2(server.data_dir / "master.key", folder)
    return replace(server, data_dir=folder, port=free_port(), process=None)


def verify(server, *options):
    return server.run("verify", *options, check=False)


def sql(server, statement, *values):
    with contextlib.closing(sqlite3.connect(server.data_dir / "catalog.sqlite")) as catalog:
        changed = catalog.execute(statement, values).rowcount
        catalog.commit()
        assert changed > 0


def sha256_of(server, package_id):
    with contextlib.closing(sqlite3.connect(server.data_dir / "catalog.sqlite")) as catalog:
        query = "SELECT sha256 FROM packages WHERE package_id = ?"
        return catalog.execute(query, (package_id,)).fetchone()[0]


def change_blob(package_id, change):
    def break_it(server):
        path = blob_path(server, sha256_of(server, package_id))
        content = path.read_bytes()
        path.chmod(0o600)
        path.write_bytes(change(content))

    return break_it


def remove_blob(server):
    blob_path(server, sha256_of(server, "whole-3")).unlink()


def change_role(role, column):
    """One space more in the newest file of a role: the same JSON, other bytes."""

    def break_it(server):
        newest = "(SELECT max(version) FROM role_files WHERE role = ?)"
        other = f"CAST(replace(CAST({column} AS TEXT), '\"expires\":', '\"expires\": ') AS BLOB)"
        sql(
            server,
            f"UPDATE role_files SET {column} = {other} WHERE role = ? AND version = {newest}",
            role,
            role,
        )

    return break_it


def rewrite(statement):
    return lambda server: sql(server, statement)


OLD = "CAST(replace(CAST(tuf AS TEXT), '{', '{ ') AS BLOB)"
BREAKAGES = {
    "bytes": [
        (
            change_blob("whole-1", lambda content: content[:99] + bytes([content[99] ^ 1]) + content[100:]),
            "whole-1",
        ),
        (change_blob("whole-2", lambda content: content[:-1]), "whole-2"),
        (remove_blob, "whole-3"),
    ],
    "rows": [
        (
            rewrite("UPDATE packages SET hardware_ids = '[\"other\"]' WHERE package_id = 'whole-2'"),
            "whole-2",
        ),
        (
            rewrite(f"UPDATE role_files SET tuf = {OLD} WHERE role = 'timestamp' AND version = 2"),
            "timestamp version 2",
        ),
        (rewrite("UPDATE repository SET snapshot = 1"), "snapshot"),
        (rewrite("DELETE FROM blobs WHERE length < 10"), "bare-1"),
    ],
    "search": [
        (rewrite("DELETE FROM listing WHERE sorting = 'Filename'"), "list by Filename"),
        (rewrite("UPDATE packages SET listed = sha256 WHERE package_id = 'bare-1'"), "bare-1"),
    ],
    "timestamp for Uptane": [(change_role("timestamp", "uptane"), "timestamp")],
    "snapshot for TUF": [(change_role("snapshot", "tuf"), "snapshot")],
    "root": [(change_role("root", "tuf"), "root")],
    "no timestamp": [(rewrite("DELETE FROM role_files WHERE role = 'timestamp'"), "I4")],
    "a missing row": [(rewrite("DELETE FROM packages WHERE package_id = 'whole-2'"), "targets")],
}


def test_a_whole_repository_is_0_with_a_summary(running):
    done = verify(running)
    assert done.returncode == 0, done.stdout
    assert "4 packages" in done.stdout
    assert "bare-1" in done.stderr  # no device would install it
    report = json.loads(verify(running, "--json").stdout)
    assert (report["packages"], report["broken"]) == (4, [])


@pytest.mark.parametrize("what", BREAKAGES)
def test_whatever_is_broken_is_1_and_named(copy, what):
    for break_it, _ in BREAKAGES[what]:
        break_it(copy)
    done = verify(copy)
    assert done.returncode == 1, done.stdout
    broken = [line for line in done.stdout.splitlines() if line.startswith("broken: ")]
    for _, name in BREAKAGES[what]:
        assert any(name in line for line in broken), (name, done.stdout)
    assert "Traceback" not in done.stderr


def test_search_that_is_broken_is_made_anew(copy):
    for break_it, _ in BREAKAGES["search"]:
        break_it(copy)
    assert copy.run("reindex").stdout == "lists and searches are made anew\n"
    done = verify(copy)
    assert done.returncode == 0, done.stdout


def test_a_backup_while_packages_arrive_is_a_whole_repository(running, tmp_path):
    acknowledged, stop = [], threading.Event()

    def keep_uploading():
        while not stop.is_set():
            version = str(len(acknowledged))
            acknowledged.append(upload(running, "meanwhile", version, version.encode() * 50_000))

    thread = threading.Thread(target=keep_uploading)
    thread.start()
    try:
        while len(acknowledged) < 10:
            stop.wait(0.02)
        before = list(acknowledged)
        done = running.run("backup", str(tmp_path / "backup.tar"))
    finally:
        stop.set()
        thread.join()
    assert "backup.tar" in done.stdout
    with tarfile.open(tmp_path / "backup.tar") as archive:
        names = archive.getnames()
    assert not [name for name in names if "master" in name or "first-client" in name]
    copy = restored(running, tmp_path / "backup.tar", tmp_path / "data")
    verified = verify(copy)
    assert verified.returncode == 0, verified.stdout
    copy.start()
    try:
        found = agreed(copy)
        for package in before:
            assert found.packages[package["packageId"]] == package
            sha256 = package["hashes"]["sha256"]
            assert http(copy, "GET", f"/repo/targets/{sha256}.x").status == 200
        for path in ("/tuf/1.root.json", "/repo/1.root.json"):
            assert http(copy, "GET", path).body == http(running, "GET", path).body
        assert upload(copy, "after", "1", b"the restored one goes on")["size"] == 24
    finally:
        copy.kill_group()


def test_a_backup_overwrites_nothing_and_leaves_nothing_half(running, tmp_path):
    target = tmp_path / "backup.tar"
    target.write_text("precious")
    done = running.run("backup", str(target), check=False)
    assert (done.returncode, target.read_text(), done.stderr.count("\n")) == (1, "precious", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["backup.tar"]
    assert not list(running.data_dir.glob("**/backup-*"))


def test_blobs_that_lie_elsewhere_are_in_a_backup_where_a_data_directory_has_them(tmp_path):
    another_file_system = SHARED_MEMORY if SHARED_MEMORY.is_dir() else tmp_path
    with tempfile.TemporaryDirectory(dir=another_file_system) as elsewhere:
        env = {"OTARIUM_BLOBS_URL": f"file://{elsewhere}/store", "OTARIUM_RESERVE_BYTES": "0"}
        with running_server(tmp_path / "data", env=env) as server:
            uploaded = upload(server, "far", "1", b"far away")
            server.run("backup", str(tmp_path / "backup.tar"))
            copy = replace(restored(server, tmp_path / "backup.tar", tmp_path / "copy"), env={})
    assert verify(copy).returncode == 0
    sha256 = uploaded["hashes"]["sha256"]
    assert (copy.data_dir / "blobs/sha256" / sha256[:2] / sha256).read_bytes() == b"far away"


def test_a_restored_copy_without_its_master_key_says_what_is_missing(copy):
    (copy.data_dir / "master.key").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "otarium", "verify", "--data-dir", str(copy.data_dir)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "master" in done.stderr
    assert "Traceback" not in done.stderr
