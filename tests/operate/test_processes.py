"""The main process, the one that prepares the data, and the workers: who ends when, and what each holds."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import PATIENCE, Server, free_port, running_server
from otarium import bootstrap
from otarium.domain.errors import Broken
from otarium.processes import MAIN_PID, Preparation
from otarium.settings import Settings


def _children(server: Server) -> list[int]:
    path = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return sorted(map(int, path.read_text().split()))


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Server]:
    """A server that prepares its data for ever: its database accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/otarium?connect_timeout=120"
        key = tmp_path / "master.key"
        key.write_text("0" * 64)
        key.chmod(0o400)
        env = {
            "OTARIUM_DATABASE_URL": url,
            "OTARIUM_BLOBS_URL": f"file://{tmp_path / 'blobs'}",
            "OTARIUM_MASTER_KEY_FILE": str(key),
        }
        server = Server(tmp_path / "data", free_port(), ("--workers", "2"), env=env)
        server.begin()
        silent.settimeout(PATIENCE)
        connection, _ = silent.accept()
        deadline = time.monotonic() + PATIENCE
        while len(_children(server)) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        yield server
        connection.close()
        server.kill_group()


def test_sigterm_while_the_data_is_prepared_ends_everything_at_once(waiting: Server) -> None:
    assert len(_children(waiting)) == 3
    started = time.monotonic()
    waiting.process.terminate()
    assert waiting.process.wait(PATIENCE) == 0
    assert time.monotonic() - started < 3
    assert "Traceback" not in waiting.log_tail()


def test_nobody_is_answered_before_the_data_is_prepared(waiting: Server) -> None:
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", waiting.port)) != 0


def test_when_the_preparing_process_is_killed_the_server_says_so_and_ends(waiting: Server) -> None:
    preparing, *workers = _children(waiting)
    os.kill(preparing, signal.SIGKILL)
    assert waiting.process.wait(PATIENCE) == 1
    assert "otarium: preparing the data directory ended unexpectedly, with code -9" in waiting.log_tail()
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_however_much_there_is_to_say_of_a_failure_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a pipe holds: whoever writes it waits for its reader."""
    long = "x" * 300_000
    monkeypatch.setenv(MAIN_PID, str(os.getpid()))
    monkeypatch.setattr(bootstrap, "start", lambda settings: (_ for _ in ()).throw(Broken(long)))
    monkeypatch.setenv("OTARIUM_DATA_DIR", str(tmp_path))
    failed = threading.Event()
    preparation = Preparation(Settings())
    preparation.start(failed.set)
    assert failed.wait(PATIENCE)
    with pytest.raises(Broken, match=long):
        preparation.require()


def test_workers_and_the_preparing_process_hold_no_lock_of_the_main_process(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        (worker,) = _children(server)
        held = _open_files(server.process.pid)
        inherited = _open_files(worker)
    lock = str(tmp_path / "data" / "serve.lock")
    assert lock in held and lock not in inherited


def _open_files(pid: int) -> set[str]:
    return {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}


@pytest.mark.parametrize(
    ("code", "unloaded"),
    [
        (
            "import otarium.cli.main, otarium.server",
            "rich sqlalchemy litestar numpy cryptography alembic",
        ),
        (
            "import otarium.bootstrap; from otarium.web.app import Framework; Framework([])",
            "rich typer alembic jinja2 sqlalchemy.dialects.postgresql pydantic.v1",
        ),
        ("from otarium.adapters import migrations; migrations.upgrade('sqlite://')", "alembic mako"),
    ],
)
def test_what_a_process_has_no_use_for_is_not_in_its_memory(code: str, unloaded: str) -> None:
    """The main process (first) and a worker over SQLite live for months, a first start (last) is short."""
    told = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(told.stdout.split()).isdisjoint(unloaded.split())


FREEING = """
import threading, time
from pathlib import Path
from otarium import processes

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

freed, kept = [], []
for _ in range(5000):
    freed.append(bytearray(16 * 1024))
    kept.append(bytearray(600))
freed.clear()
before = resident()
processes._TRIM_SECONDS = 0.1
threading.Thread(target=processes._give_back, daemon=True).start()
time.sleep(2)
print(before - resident())
"""
"""80 MiB, in pieces between others that stay."""


def test_what_a_worker_freed_between_what_it_uses_goes_back_to_the_system() -> None:
    told = subprocess.run([sys.executable, "-c", FREEING], capture_output=True, text=True, check=True)
    assert int(told.stdout) > 40 * 1024**2
