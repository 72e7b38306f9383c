"""An upload into an object store, beside a plain multipart put of the same file into the same store; the same
with 5 GiB, and 100 at once, which is about memory.

The store is the one of the tests (it speaks S3 on loopback, in Python), so only the ratio says something; and
client, server and store share the cores, of which the plain put has one process less to feed.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from statistics import mean, median
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
from replicas import store_of_objects

ROUNDS = 5
SIZE = 128 * MIB
LARGE = 5 * 1024 * MIB
SIZE_AT_ONCE = 16 * MIB
PATIENCE = 20.0
PATIENT = "600s"
"""What an answer may take: this store puts the parts of 5 GiB together in half a minute, or a whole one."""


def run(ground: Ground) -> list[Figure]:
    os.environ["MOTO_S3_DEFAULT_KEY_BUFFER_SIZE"] = "1024"  # the store keeps what is larger on the disk
    with store_of_objects() as store:
        return _beside(ground, store)


def _beside(ground: Ground, store: Mapping[str, str]) -> list[Figure]:
    source, ours, plain, growth = ground.directory / "object", [], [], []
    environment = {"OTARIUM_BLOBS_URL": "s3://packages/otarium", "AWS_TIMEOUT": PATIENT}
    with ground.server("objects", **store, **environment) as server:
        for number in range(ROUNDS):
            source.write_bytes(os.urandom(SIZE))
            path = upload_path("object", str(number))
            quiet.wait(PATIENCE)
            with Growth(server.process.pid) as memory:
                ours.append(rate(lambda p=path: post(server.port, p, source, server.token, SIZE), SIZE))
            growth.append(memory.bytes / MIB)
            quiet.wait(PATIENCE)
            plain.append(rate(lambda n=number: _put(store, source, f"plain-{n}"), SIZE))
        heavy = [*_large(server, store, source), *at_once(server, source, SIZE_AT_ONCE)]
    source.unlink()
    return [
        Figure("plain multipart put of 128 MiB", median(plain), "MiB/s"),
        Figure("upload of 128 MiB into the store", median(ours), "MiB/s"),
        Figure("upload to the plain put", median(ours) / median(plain), "x", at_least=0.85),
        Figure("growth of the server's memory, worst of 5", max(growth), "MiB", at_most=64),
        *heavy,
    ]


def _large(server: Server, store: Mapping[str, str], source: Path) -> list[Figure]:
    with source.open("r+b") as file:
        file.truncate(LARGE)  # zeros, which nobody compresses
    rates: dict[str, list[float]] = {"ours": [], "plain": []}
    with Growth(server.process.pid) as memory:
        _put(store, source, "plain-large")  # the first one finds a cold disk
        for turn in ("ours", "plain", "ours", "plain"):
            path = upload_path("object", f"large-{len(rates['ours'])}")
            quiet.wait(PATIENCE)
            if turn == "ours":
                speed = rate(lambda p=path: post(server.port, p, source, server.token, LARGE), LARGE)
            else:
                speed = rate(lambda: _put(store, source, "plain-large"), LARGE)
            rates[turn].append(speed)
    ours, plain = (mean(rates[turn]) for turn in ("ours", "plain"))
    return [
        Figure("plain multipart put of 5 GiB, mean of 2", plain, "MiB/s"),
        Figure("upload of 5 GiB into the store, mean of 2", ours, "MiB/s"),
        Figure("upload of 5 GiB to the plain put", ours / plain, "x", at_least=0.85),
        Figure("growth of memory, one of 5 GiB", memory.bytes / MIB, "MiB", at_most=64),
    ]


def _put(store: Mapping[str, str], source: Path, name: str) -> None:
    """As obstore does it by itself."""
    config: Any = {key.lower(): value for key, value in store.items() if key != "AWS_ALLOW_HTTP"}
    bucket = S3Store("packages", config=config, client_options={"allow_http": True, "timeout": PATIENT})
    obstore.put(bucket, name, source)
