"""An upload into an object store, beside a plain multipart put of the same file into the same store; the same
with 5 GiB, and 100 at once, which is about memory.

The store is SeaweedFS on loopback. Client, server and store share the cores, which are all busy, and the
plain put has one process less to feed: it too sends the sha256 of each part, and the store compares it. What
a put costs without that is measured beside.
"""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import obstore
from obstore.store import S3Store

from bench import quiet
from bench.clients import upload_path
from bench.figures import Figure
from bench.ground import Ground
from bench.memory import Growth
from bench.upload import MIB, at_once, post, rate
from harness import Server
from seaweed import options, running_seaweed

ROUNDS, ROUNDS_OF_LARGE = 5, 2
SIZE = 128 * MIB
LARGE = 5 * 1024 * MIB
SIZE_AT_ONCE = 16 * MIB
PATIENCE = 20.0


def run(ground: Ground) -> list[Figure]:
    with running_seaweed() as store:
        return _beside(ground, store)


def _beside(ground: Ground, store: Mapping[str, str]) -> list[Figure]:
    source, growth, block = ground.directory / "object", list[float](), os.urandom(SIZE)
    with ground.server("objects", OTARIUM_BLOBS_URL="s3://packages/otarium", **store) as server:
        figures = []
        for size, rounds in ((SIZE, ROUNDS), (LARGE, ROUNDS_OF_LARGE)):
            with source.open("wb") as file:
                for _ in range(size // SIZE):
                    file.write(block)
            with Growth(server.process.pid) as memory:
                figures += _in_turn(server, store, source, size, rounds)
            growth.append(memory.bytes / MIB)
        at_once_figures = at_once(server, source, SIZE_AT_ONCE)
    source.unlink()
    return [
        *figures,
        Figure("growth of memory, one of 128 MiB at a time", growth[0], "MiB", at_most=64),
        Figure("growth of memory, one of 5 GiB at a time", growth[1], "MiB", at_most=64),
        *at_once_figures,
    ]


def _in_turn(server: Server, store: Mapping[str, str], source: Path, size: int, rounds: int) -> list[Figure]:
    title = f"{size // MIB:,} MiB"
    rates: dict[str, list[float]] = {"ours": [], "plain": [], "unchecked": []}
    for number in range(rounds):
        path = upload_path("object", f"{size}-{number}")
        ways: dict[str, Callable[[], None]] = {
            "ours": partial(post, server.port, path, source, server.token, size),
            "plain": partial(_put, store, source, checksum_algorithm="sha256"),
            "unchecked": partial(_put, store, source),
        }
        for way, action in ways.items():
            quiet.wait(PATIENCE)
            rates[way].append(rate(action, size))
        obstore.delete(_bucket(store), "plain")
    ours, plain, unchecked = (median(rates[way]) for way in ("ours", "plain", "unchecked"))
    return [
        Figure(f"plain multipart put of {title}", plain, "MiB/s"),
        Figure(f"plain multipart put of {title}, no sha256 of its parts", unchecked, "MiB/s"),
        Figure(f"upload of {title} into the store", ours, "MiB/s"),
        Figure(f"upload of {title} to the plain put", ours / plain, "x", at_least=0.85),
    ]


def _put(store: Mapping[str, str], source: Path, **more: str) -> None:
    """As obstore does it by itself."""
    obstore.put(_bucket(store, **more), "plain", source)


def _bucket(store: Mapping[str, str], **more: str) -> S3Store:
    config: Any = options(store) | more
    return S3Store("packages", config=config, client_options={"allow_http": True})
