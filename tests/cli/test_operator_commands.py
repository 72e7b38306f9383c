"""The operator's commands, as scripts call them: serve, health, client, token, root."""

import hashlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from api.calls import head_of, upload_path, wire
from api.traces import agreed, staged
from harness import PATIENCE, Server, free_port, http, running_server, upload

DRAIN = 2


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A server that gives uploads two seconds to end."""
    folder = tmp_path_factory.mktemp("operator") / "data"
    with running_server(folder, env={"OTARIUM_DRAIN_SECONDS": str(DRAIN)}) as server:
        yield server


def command(*words, cwd=None, **env):
    """`otarium WORDS` without a terminal, outside any data directory."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTARIUM_")}
    return subprocess.run(
        [sys.executable, "-m", "otarium", *map(str, words)],
        env=clean | env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def failed(done, *words, code=1):
    """The command ended with one line on stderr that has the words, and nothing on stdout."""
    assert done.returncode == code, done.stderr
    assert (done.stdout, done.stderr.count("\n")) == ("", 1), done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def test_health_is_json_and_200_when_the_server_is_up(running):
    for path in ("/health/live", "/health/devices", "/health/ready"):
        answer = http(running, "GET", path, token=None)
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        assert answer.json["status"] == "ok"


def test_a_second_server_on_the_same_directory_is_told_who_holds_it(running):
    before = agreed(running)
    done = running.run("serve", "--port", str(free_port()), check=False)
    failed(done, str(running.process.pid), running.url)
    assert agreed(running) == before
    assert http(running, "GET", "/health/ready").status == 200


def test_the_data_directory_is_for_its_owner_alone_and_no_key_lies_open_in_it(running):
    assert stat.S_IMODE(running.data_dir.stat().st_mode) == 0o700
    files = {path.name: path for path in running.data_dir.iterdir() if path.is_file()}
    assert stat.S_IMODE(files["master.key"].stat().st_mode) == 0o600
    assert stat.S_IMODE(files["first-client.json"].stat().st_mode) == 0o600
    assert stat.S_IMODE(files["catalog.sqlite"].stat().st_mode) & 0o077 == 0


def test_without_a_terminal_the_first_secret_is_in_a_file_of_its_owner_and_in_no_log(running):
    path = running.data_dir / "first-client.json"
    made = json.loads(path.read_text())
    log = running.log_tail(1_000_000)
    assert str(path) in log
    assert made["client_secret"] not in log
    assert running.api in log
    assert made["token_endpoint"].startswith(running.url)
    assert _scope_of(running, made) == "packages:read packages:write"
    assert made["client_secret"] not in running.log_tail(1_000_000)


def _scope_of(server, client):
    """What a client's token may do."""
    form = "grant_type=client_credentials&client_id={client_id}&client_secret={client_secret}"
    path = "/auth/realms/ota-users/protocol/openid-connect/token"
    return http(server, "POST", path, body=form.format(**client).encode(), token=None).json["scope"]


def test_client_create_prints_id_and_secret_as_json_and_the_pair_works(running):
    done = running.run("client", "create", "ci", "--scope", "packages:read", "--json")
    made = json.loads(done.stdout)
    assert set(made) == {"client_id", "client_secret"}
    assert _scope_of(running, made) == "packages:read"
    listed = json.loads(running.run("client", "list", "--json").stdout)
    (found,) = [one for one in listed if one["id"] == made["client_id"]]
    assert (found["name"], found["scopes"], found["revoked_at"]) == ("ci", ["packages:read"], None)
    assert made["client_secret"] not in str(listed)
    assert "ci" in running.run("client", "list").stdout


def test_token_create_prints_the_bare_token_and_nothing_else(running):
    done = running.run("token", "create", "--name", "bare", "--expires", "12h")
    assert re.fullmatch(r"\S{40,}\n", done.stdout)
    assert done.stderr == ""
    assert http(running, "GET", "/api/v2/packages", token=done.stdout.strip()).status == 200
    listed = json.loads(running.run("token", "list", "--json").stdout)
    (found,) = [one for one in listed if one["name"] == "bare"]
    assert found["scopes"] == ["packages:read", "packages:write"]
    ends, starts = (
        time.mktime(time.strptime(found[key], "%Y-%m-%dT%H:%M:%SZ")) for key in ("expires_at", "created_at")
    )
    assert ends - starts == 12 * 3600


@pytest.mark.parametrize(
    "words",
    [
        ("client", "create", "x", "--scope", "packages:admin"),
        ("client", "revoke", "client-none"),
        ("token", "revoke", "none"),
    ],
)
def test_what_an_operator_command_cannot_do_is_said_in_one_line(running, words):
    failed(running.run(*words, check=False))


def test_commands_on_a_directory_without_a_repository_say_so_and_make_none(tmp_path):
    missing = tmp_path / "missing"
    for words in (("verify",), ("backup", tmp_path / "b.tar")):
        failed(command(*words, "--data-dir", missing), str(missing), "otarium serve")
    assert list(tmp_path.iterdir()) == []


def test_root_export_prints_the_root_that_devices_are_served(running):
    for options, path in (((), "/tuf/1.root.json"), (("--uptane",), "/repo/1.root.json")):
        done = running.run("root", "export", *options)
        assert done.stdout.encode() == http(running, "GET", path).body


@pytest.mark.parametrize(
    "words", [("--port", "0"), ("--port", "x"), ("--workers", "0"), ("--public-url", "ota.example.com")]
)
def test_an_option_that_makes_no_sense_is_refused_before_anything_is_made(tmp_path, words):
    done = command("serve", "--data-dir", tmp_path / "data", *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_sigterm_lets_an_upload_end_and_then_exits_with_0(running):
    with wire(running) as connection:
        body = b"x" * 30
        connection.send(
            head_of(running, "POST", upload_path("drained", "1"), {"Content-Length": 30}) + body[:10]
        )
        _wait_for(lambda: staged(running))
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        connection.send(body[10:])
        answer = connection.read_answer()
    assert (answer.status, answer.json["hashes"]["sha256"]) == (200, hashlib.sha256(body).hexdigest())
    assert running.process.wait(DRAIN + PATIENCE) == 0
    running.start()
    assert agreed(running).packages["drained-1"] == answer.json


def test_sigterm_waits_for_nobody_for_ever_and_leaves_nothing_by_half(running):
    with wire(running) as connection:
        connection.send(head_of(running, "POST", upload_path("stuck", "1"), {"Content-Length": 30}) + b"x")
        _wait_for(lambda: staged(running))
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(DRAIN + PATIENCE) == 0
    running.start()
    assert "stuck-1" not in agreed(running).packages


def test_an_idle_server_ends_at_once_and_its_next_start_writes_no_secret(tmp_path):
    with running_server(tmp_path / "data", env={"OTARIUM_DRAIN_SECONDS": "25"}) as idle:
        (idle.data_dir / "first-client.json").unlink()
        started = time.monotonic()
        assert idle.stop() == 0
        assert time.monotonic() - started < 3 + PATIENCE
        idle.start()
        assert not (idle.data_dir / "first-client.json").exists()


def _wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_server_starts_wherever_it_is_called_and_with_its_master_key_elsewhere(tmp_path):
    """A directory with Python files of its own has no say in what is imported."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "otarium.py").write_text("raise SystemExit('the wrong otarium')")
    key = tmp_path / "keys" / "master.key"
    key.parent.mkdir()
    server = Server(tmp_path / "data", free_port())
    words = ["serve", "--data-dir", server.data_dir, "--port", server.port, "--master-key-file", key]
    log = (tmp_path / "log").open("wb")
    server.process = subprocess.Popen(
        [str(Path(sys.executable).with_name("otarium")), *map(str, words)],
        cwd=package,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        server.wait_until_ready()
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert not (server.data_dir / "master.key").exists()
        failed(command("token", "create", "--name", "x", "--data-dir", server.data_dir), "master")
        done = command(
            "token", "create", "--name", "x", "--data-dir", server.data_dir, "--master-key-file", key
        )
        server.token = done.stdout.strip()
        assert upload(server, "elsewhere", "1", b"x")["packageId"] == "elsewhere-1"
    finally:
        server.kill_group()


def test_operator_commands_work_while_uploads_run(running):
    stop, failures = threading.Event(), []

    def keep_uploading():
        number = 0
        while not stop.is_set():
            try:
                upload(running, "meanwhile", str(number), b"x")
                number += 1
            except Exception as error:
                failures.append(error)
                return

    thread = threading.Thread(target=keep_uploading)
    thread.start()
    try:
        token = running.create_token(name="meanwhile")
        assert http(running, "GET", "/api/v2/packages?limit=1", token=token).status == 200
        assert running.run("verify").returncode == 0
    finally:
        stop.set()
        thread.join()
    assert not failures
