"""Publishing beside 10,000 packages of 2,000 names, one upload at a time and by 16 clients at once.

On SQLite, and on PostgreSQL, where every statement is a journey. Every upload is a release of its own when
alone; together they share releases.
Durable commits of the same database are measured in turn with it, since each release is one.
"""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

from bench import commits, quiet, rows, shelved
from bench.clients import Client, together
from bench.figures import Figure
from bench.ground import Ground
from harness import Server, running_server
from postgresql import running_cluster

PACKAGES = 10_000
ROUNDS = 3
ALONE = 40
CLIENTS = 16
TOGETHER = 480
BODY = 1024
PATIENCE = 20.0
ALONE_MS, TOGETHER_RATE = 15, 200


def run(ground: Ground) -> list[Figure]:
    data_dir = ground.directory / "publish"
    shelved.make(data_dir, PACKAGES)
    with running_server(data_dir, workers=1) as server:
        file = ground.directory / "commits.sqlite"
        figures = _measured("SQLite", server, lambda: commits.sqlite(file))
    with _on_postgresql(ground) as (server, url):
        return figures + _measured("PostgreSQL", server, lambda: commits.postgresql(url))


@contextmanager
def _on_postgresql(ground: Ground) -> Iterator[tuple[Server, str]]:
    """The server, and the URL of its database."""
    with running_cluster() as cluster:
        url = cluster.new_database()
        data_dir = ground.directory / "publish-postgresql"
        shelved.make(data_dir, PACKAGES, url)
        with running_server(data_dir, env={"OTARIUM_DATABASE_URL": url}, workers=1) as server:
            yield server, url


def _measured(
    database: str,
    server: Server,
    commit_rate: Callable[[], float],
) -> list[Figure]:
    rates, alone, at_once, chance = [], [], [], random.Random(database)
    for _ in range(ROUNDS):
        quiet.wait(PATIENCE)
        rates.append(commit_rate())
        alone += one_at_a_time(server, ALONE, chance)
        at_once.append(_sixteen_at_once(server, chance))
    title = f"{database}, {PACKAGES:,} packages"
    alone.sort()
    return [
        Figure(f"{database}: durable commits", median(rates), "commits/s"),
        Figure(f"{title}: one at a time, median", median(alone) * 1000, "ms", at_most=ALONE_MS),
        Figure(f"{title}: one at a time, 99 of 100 within", alone[len(alone) * 99 // 100] * 1000, "ms"),
        Figure(f"{title}: 16 clients, median of 3", median(at_once), "packages/s", at_least=TOGETHER_RATE),
        Figure(f"{title}: 16 clients, worst of 3", min(at_once), "packages/s"),
    ]


def upload(client: Client, chance: random.Random) -> None:
    """A new version of any of the 2,000 names."""
    client.upload(rows.package(chance.randrange(rows.NAMES)).name, f"9.{time.time_ns()}", os.urandom(BODY))


def one_at_a_time(server: Server, uploads: int, chance: random.Random) -> list[float]:
    """Seconds of each upload."""
    seconds = []
    with Client(server) as client:
        for _ in range(uploads):
            started = time.perf_counter()
            upload(client, chance)
            seconds.append(time.perf_counter() - started)
    return seconds


def _sixteen_at_once(server: Server, chance: random.Random) -> float:
    """Packages per second."""

    def work() -> Iterator[Callable[[Client], object]]:
        for _ in range(TOGETHER):
            yield lambda client: upload(client, chance)

    return TOGETHER / together(server, CLIENTS, work())
