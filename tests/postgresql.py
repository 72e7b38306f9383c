"""A PostgreSQL server of the tests' own: a cluster in a temporary directory, on a free loopback port.

PostgreSQL refuses to run as root, so root's tests run it as the user `postgres` of Debian's package.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg

from harness import free_port

_NUMBERS = count(1)


class Cluster:
    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of an empty one."""
        name = f"test_{next(_NUMBERS)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)


def tool(name: str) -> str:
    """Debian keeps them beside the version of the server."""
    beside = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = str(beside[-1]) if beside else shutil.which(name)
    if found is None:
        raise RuntimeError(
            f"{name} is missing: install Debian's package postgresql (the tests need a server)"
        )
    return found


def _command(*words: str) -> list[str]:
    return ["runuser", "-u", "postgres", "--", *words] if os.geteuid() == 0 else list(words)


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="otarium-pg-") as name:
        directory, port = Path(name), free_port()
        if os.geteuid() == 0:
            shutil.chown(directory, "postgres")
        data = directory / "data"
        initdb = [
            tool("initdb"),
            "-D",
            str(data),
            "-U",
            "postgres",
            "--auth=trust",
            "-N",
            "-E",
            "UTF8",
        ]
        subprocess.run(_command(*initdb), check=True, capture_output=True)
        options = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": directory}
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with (directory / "log").open("wb") as log:
            command = _command(tool("postgres"), "-D", str(data), *settings)
            server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            cluster = Cluster(directory, port)
            _wait_for(cluster, server)
            yield cluster
        finally:
            server.terminate()
            server.wait(30)


def _wait_for(cluster: Cluster, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(cluster.url("postgres"), connect_timeout=2).close()
            return
        time.sleep(0.1)
    raise RuntimeError(f"PostgreSQL did not start: {(cluster.directory / 'log').read_text()}")
