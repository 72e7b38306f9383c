"""An upload into an object store, beside a plain multipart put of the same file into the same store; then one
of 5 GiB, and 100 at once, which are about memory.

The store is the one of the tests (it speaks S3 on loopback, in Python), so only the ratio says something; and
client, server and store share the cores, of which the plain put has one process less to feed.
"""

import logging
import os
import urllib.request
from pathlib import Path
from statistics import mean, median
from typing import Any

import obstore
from moto.server import ThreadedMotoServer
from obstore.store import S3Store

from bench import quiet
from bench.clients import upload_path
from bench.figures import Figure
from bench.ground import Ground
from bench.memory import Growth
from bench.upload import MIB, at_once, post, rate
from harness import Server

ROUNDS = 5
SIZE = 128 * MIB
LARGE = 5 * 1024 * MIB
SIZE_AT_ONCE = 16 * MIB
PATIENCE = 20.0
PATIENT = "600s"
"""What an answer may take: this store puts the parts of 5 GiB together in half a minute, or a whole one."""


def run(ground: Ground) -> list[Figure]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    os.environ["MOTO_S3_DEFAULT_KEY_BUFFER_SIZE"] = "1024"  # the store keeps what is larger on the disk
    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    try:
        host, port = store.get_host_and_port()
        return _beside(ground, f"http://{host}:{port}")
    finally:
        store.stop()


def _beside(ground: Ground, endpoint: str) -> list[Figure]:
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/bench", method="PUT")).close()
    source, ours, plain, growth = ground.directory / "object", [], [], []
    environment = {
        "OTARIUM_BLOBS_URL": "s3://bench/otarium",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "us-east-1",
        "AWS_TIMEOUT": PATIENT,
    }
    with ground.server("objects", **environment) as server:
        for number in range(ROUNDS):
            source.write_bytes(os.urandom(SIZE))
            path = upload_path("object", str(number))
            quiet.wait(PATIENCE)
            with Growth(server.process.pid) as memory:
                ours.append(rate(lambda p=path: post(server.port, p, source, server.token, SIZE), SIZE))
            growth.append(memory.bytes / MIB)
            quiet.wait(PATIENCE)
            plain.append(rate(lambda n=number: _put(endpoint, source, f"plain-{n}"), SIZE))
        heavy = [*_large(server, endpoint, source), *at_once(server, source, SIZE_AT_ONCE)]
    source.unlink()
    return [
        Figure("plain multipart put of 128 MiB", median(plain), "MiB/s"),
        Figure("upload of 128 MiB into the store", median(ours), "MiB/s"),
        Figure("upload to the plain put", median(ours) / median(plain), "x", at_least=0.85),
        Figure("growth of the server's memory, worst of 5", max(growth), "MiB", at_most=64),
        *heavy,
    ]


def _large(server: Server, endpoint: str, source: Path) -> list[Figure]:
    with source.open("r+b") as file:
        file.truncate(LARGE)  # zeros, which nobody compresses
    rates: dict[str, list[float]] = {"ours": [], "plain": []}
    with Growth(server.process.pid) as memory:
        _put(endpoint, source, "plain-large")  # the first one finds a cold disk
        for turn in ("ours", "plain", "ours", "plain"):
            path = upload_path("object", f"large-{len(rates['ours'])}")
            quiet.wait(PATIENCE)
            if turn == "ours":
                speed = rate(lambda p=path: post(server.port, p, source, server.token, LARGE), LARGE)
            else:
                speed = rate(lambda: _put(endpoint, source, "plain-large"), LARGE)
            rates[turn].append(speed)
    ours, plain = (mean(rates[turn]) for turn in ("ours", "plain"))
    return [
        Figure("plain multipart put of 5 GiB, mean of 2", plain, "MiB/s"),
        Figure("upload of 5 GiB into the store, mean of 2", ours, "MiB/s"),
        Figure("upload of 5 GiB to the plain put", ours / plain, "x", at_least=0.85),
        Figure("growth of memory, one of 5 GiB", memory.bytes / MIB, "MiB", at_most=64),
    ]


def _put(endpoint: str, source: Path, name: str) -> None:
    """As obstore does it by itself."""
    options: Any = {"client_options": {"allow_http": True, "timeout": PATIENT}}
    keys = {"access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"}
    store = S3Store("bench", endpoint=endpoint, **keys, **options)
    obstore.put(store, name, source)
