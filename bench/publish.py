"""Publishing on a shelf of 10,000 packages: one upload at a time, and 16 clients at once.

Every upload is a release of its own when alone; together they share releases. Durable commits of SQLite
on the same file system are measured beside, since each release is one.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median

from bench import quiet
from bench.clients import Client, together
from bench.figures import Figure
from bench.ground import Ground
from harness import Server

ROUNDS = 3
ALONE = 40
CLIENTS = 16
TOGETHER = 480
BODY = 1024
COMMITS = 200
PATIENCE = 20.0


def run(ground: Ground) -> list[Figure]:
    commits, alone, together_rates = [], [], []
    with ground.seeded_server("publish") as server:
        for number in range(ROUNDS):
            quiet.wait(PATIENCE)
            commits.append(commit_rate(ground.directory / "commits.sqlite"))
            alone += one_at_a_time(server, number)
            together_rates.append(sixteen_at_once(server, number))
    single = 1 / median(alone)
    wanted = min(8 * single, 200)
    return [
        Figure("durable SQLite commits", median(commits), "commits/s"),
        Figure("one at a time, median", median(alone) * 1000, "ms"),
        Figure("one at a time, 99 of 100 within", sorted(alone)[len(alone) * 99 // 100] * 1000, "ms"),
        Figure("one at a time", single, "packages/s"),
        Figure("16 clients, median of 3", median(together_rates), "packages/s", at_least=wanted),
        Figure("16 clients, worst of 3", min(together_rates), "packages/s"),
    ]


def _body(label: str) -> bytes:
    return label.encode().ljust(BODY, b".")


def one_at_a_time(server: Server, number: int) -> list[float]:
    """Seconds of each upload."""
    seconds = []
    with Client(server) as client:
        for index in range(ALONE):
            started = time.perf_counter()
            client.upload(f"alone-{number}", str(index), _body(f"alone {number} {index}"))
            seconds.append(time.perf_counter() - started)
    return seconds


def sixteen_at_once(server: Server, number: int) -> float:
    """Packages per second."""

    def work() -> Iterator[Callable[[Client], object]]:
        for index in range(TOGETHER):
            body = _body(f"together {number} {index}")
            yield lambda client, i=index, b=body: client.upload(f"together-{number}", str(i), b)

    return TOGETHER / together(server, CLIENTS, work())


def commit_rate(path: Path) -> float:
    """Small inserts per second, each in a transaction of its own that survives a power cut."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE rows (pk INTEGER PRIMARY KEY, value TEXT)")
        started = time.perf_counter()
        for index in range(COMMITS):
            connection.execute("INSERT INTO rows (value) VALUES (?)", (f"row {index}",))
        return COMMITS / (time.perf_counter() - started)
