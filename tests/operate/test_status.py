"""`otarium status`: one screen, true with and without a server, and an exit code for scripts."""

import json
import os
import pty
import subprocess
import sys
import time

import pytest

from harness import PATIENCE, running_server, upload
from otarium import bootstrap
from otarium.settings import Settings, StorageSettings
from repository import FakeClock


def status(data_dir, *options, **env):
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("OTARIUM_", "NO_COLOR"))
    }
    return subprocess.run(
        [sys.executable, "-m", "otarium", "status", "--data-dir", str(data_dir), *options],
        env=clean | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def fields(done) -> dict[str, str]:
    return dict(line.split("\t", 1) for line in done.stdout.splitlines())


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("status") / "data", workers=2) as server:
        upload(server, "shown", "1", b"x" * 2048)
        upload(server, "shown", "2", b"y" * 2048)
        time.sleep(1)
        yield server


def test_a_running_server_is_told_with_its_release_contents_and_jobs(served):
    done = status(served.data_dir)
    assert done.returncode == 0, done.stdout + done.stderr
    told = fields(done)
    assert told["server"] == f"process {served.process.pid}, serving {served.url}"
    assert told["release"] == "3"
    assert told["packages"] == "2 own, 0 of other publishers"
    assert told["storage"].startswith("2 blobs, 4.0 KiB; ")
    assert told["backup"] == "none by `otarium backup`"
    assert told["problems"] == "none"
    assert all("(in " in told[role] for role in ("root", "targets", "snapshot", "timestamp"))
    assert told["job renewal"].endswith(" ago")


def test_json_tells_the_same(served):
    told = json.loads(status(served.data_dir, "--json").stdout)
    assert told["release"] == 3
    assert told["packages"] == {"targets": 2} and told["offload"] is None
    assert (told["blobs"], told["blobBytes"], told["problems"]) == (2, 4096, [])
    assert told["jobs"]["sweep"]["failures"] == 0
    assert set(told["expires"]) == {"root", "targets", "snapshot", "timestamp"}


def test_the_copy_for_devices_is_told_with_its_release(tmp_path):
    copy = {"OTARIUM_OFFLOAD_URL": f"file://{tmp_path}/copy"}
    with running_server(tmp_path / "data", env=copy) as server:
        upload(server, "copied", "1", b"x")
        deadline = time.monotonic() + PATIENCE
        while fields(status(server.data_dir, **copy))["offload"] != "release 2":
            assert time.monotonic() < deadline
        told = json.loads(status(server.data_dir, "--json", **copy).stdout)
    assert told["offload"] == {"release": 2, "behindSeconds": 0, "problem": None}
    assert "offload" in told["jobs"]


def test_a_backup_is_remembered(served, tmp_path):
    served.run("backup", str(tmp_path / "backup.tar"))
    assert fields(status(served.data_dir))["backup"].endswith((" s ago)", " seconds ago)"))


def test_colours_are_for_terminals_only(served):
    assert "\x1b" not in status(served.data_dir).stdout
    main, terminal = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    command = [sys.executable, "-m", "otarium", "status", "--data-dir", str(served.data_dir)]
    shown = subprocess.Popen(command, env=clean | {"TERM": "xterm"}, stdout=terminal)
    os.close(terminal)
    text = b""
    while True:
        try:
            part = os.read(main, 4096)
        except OSError:  # the other end is closed
            break
        text += part
    assert shown.wait(30) == 0
    assert b"\x1b[32m" in text and b"root" in text


def test_without_a_server_it_says_so_and_is_content_while_nothing_is_due(tmp_path):
    with running_server(tmp_path / "data") as server:
        server.stop()
        done = status(tmp_path / "data")
    assert done.returncode == 0
    assert fields(done)["server"] == "not running on this machine"
    assert not [name for name in fields(done) if name.startswith("job ")]


def test_what_expired_or_was_not_renewed_is_a_problem_with_advice_and_exit_code_1(tmp_path):
    clock = FakeClock()
    clock.time = int(time.time()) - 30 * 86_400
    bootstrap.prepare(Settings(storage=StorageSettings(data_dir=tmp_path)), clock).catalog.close()
    done = status(tmp_path)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("problem\t"))
    assert "expired at" in lines[first]
    assert "otarium serve" in lines[first + 1]


def test_a_full_disk_is_a_problem(served):
    done = status(served.data_dir, OTARIUM_RESERVE_BYTES=str(1 << 60))
    assert done.returncode == 1
    assert "uploads are refused" in done.stdout


def test_a_directory_without_a_repository_is_one_line_and_exit_code_1(tmp_path):
    done = status(tmp_path / "none")
    assert (done.returncode, done.stdout) == (1, "")
    assert "otarium serve" in done.stderr
