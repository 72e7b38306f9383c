"""Publishing as a repository grows to 1,000,000 packages of 2,000 names, and what a device downloads then.

One client, one upload at a time, each of any of the names. Durable commits of the same database on the same
file system are measured in turn with it. A proxy counts what clients download to verify one package out of a
million.
"""

import random
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

from bench import commits, publish, quiet, rows, shelved
from bench.clients import Client
from bench.counting import Counted, counting
from bench.figures import Figure
from bench.ground import Ground
from device.external import HARDWARE, JUDGES, client
from harness import Server, http, running_server

SIZES = {0: 15, 1_000: 15, 10_000: 15, 100_000: None, 1_000_000: 30}
"""Packages, and the milliseconds that a publication may take there."""
ROUNDS = 3
UPLOADS = 20
FIRST_CONTACT, LATER_VERSION = 600_000, 350_000
CLIENT_SECONDS = 5
"""Of each client, python-tuf and tuf-js among them, until it has the verified package."""
PATIENCE = 20.0


def run(ground: Ground) -> list[Figure]:
    figures = []
    for packages, limit in SIZES.items():
        data_dir = ground.directory / f"large-{packages}"
        shelved.make(data_dir, packages)
        with running_server(data_dir, workers=1) as server:
            figures += _published(ground, server, packages, limit)
            if packages == max(SIZES):
                figures += downloads(server)
        shutil.rmtree(data_dir)
    return figures


def _published(ground: Ground, server: Server, packages: int, limit: float | None) -> list[Figure]:
    """The first uploads, which may move names onto shelves, are not counted."""
    chance, seconds, rates = random.Random(packages), list[float](), []
    publish.one_at_a_time(server, 5, chance)
    for _ in range(ROUNDS):
        quiet.wait(PATIENCE)
        rates.append(commits.sqlite(ground.directory / "commits.sqlite"))
        seconds += publish.one_at_a_time(server, UPLOADS, chance)
    seconds.sort()
    title = f"publish at {packages:,} packages"
    return [
        Figure(f"{title}, median", median(seconds) * 1000, "ms", at_most=limit),
        Figure(f"{title}, 9 of 10 within", seconds[len(seconds) * 9 // 10] * 1000, "ms"),
        Figure("durable SQLite commits, in turn", median(rates), "commits/s"),
    ]


def downloads(server: Server) -> list[Figure]:
    """What each client downloads of metadata: at first contact, and for a later version of the same name."""
    figures = []
    name = _with_room_on_a_full_page(server)
    with counting(server.port) as counted, Client(server) as publisher:
        for judge in JUDGES:
            first, later = (f"{number}-{judge}-{time.time_ns()}" for number in (1, 2))
            publisher.upload(name, first, first.encode(), HARDWARE)
            with tempfile.TemporaryDirectory() as state:
                seen = Server(server.data_dir, int(counted.url.rpartition(":")[2]))
                device = client(judge, seen, Path(state))
                figures += _followed(
                    device, judge, counted, f"{name}-{first}", FIRST_CONTACT, "first contact"
                )
                publisher.upload(name, later, later.encode(), HARDWARE)
                figures += _followed(
                    device, judge, counted, f"{name}-{later}", LATER_VERSION, "later version"
                )
    return figures


def _with_room_on_a_full_page(server: Server) -> str:
    """A name whose page is as large as pages get, which takes a few more versions for each client."""
    for turn in range(3 * len(JUDGES)):
        found = http(server, "DELETE", f"/api/v2beta/packages/{rows.package(7 + turn * rows.NAMES).id}")
        if found.status != 200:
            raise RuntimeError(f"{found.status}: {found.body[:300]!r}")
    return rows.package(7).name


def _followed(
    device: object, judge: str, counted: Counted, package_id: str, limit: int, what: str
) -> list[Figure]:
    counted.start()
    started = time.perf_counter()
    found = device.follow(package_id)  # type: ignore[attr-defined]
    seconds = time.perf_counter() - started
    if package_id not in found:
        raise RuntimeError(f"{judge} does not find {package_id}")
    title = f"{judge}, {what} among a million"
    return [
        Figure(f"{title}: metadata", counted.metadata, "bytes", at_most=limit),
        Figure(f"{title}: time", seconds, "s", at_most=CLIENT_SECONDS),
    ]
