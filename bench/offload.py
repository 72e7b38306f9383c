"""The copy for devices: timestamp.json from it beside a plain file of the same nginx, and how long it lags.

The lag is from the answer to an upload until the copy shows its release.
"""

import shutil
import time
from pathlib import Path
from statistics import median

from bench import quiet, wrk
from bench.clients import Client
from bench.figures import Figure
from bench.ground import Ground, require_tools
from harness import Server, http
from nginx import nginx_on_a_copy

ROUNDS = 5
SECONDS = 3
CONNECTIONS = 32
PATIENCE = 10.0
UPLOADS = 30
PATH = "/repo/timestamp.json"


def run(ground: Ground) -> list[Figure]:
    require_tools("nginx", "wrk")
    copy, plain = ground.directory.resolve() / "copy", ground.directory.resolve() / "plain"
    with ground.server("offload", OTARIUM_OFFLOAD_URL=f"file://{copy}") as server:
        lags = [_lag(server, copy, number) for number in range(UPLOADS)]
        (plain / "plain" / "repo").mkdir(parents=True)
        shutil.copy(copy / PATH.removeprefix("/"), plain / "plain" / "repo")
        beside = f"location /plain/ {{ root {plain}; }}\n"
        with nginx_on_a_copy(server, ground.directory / "nginx", copy, beside) as front:
            ratio, rate = _beside(front)
    return [
        Figure("timestamp.json from the copy, by nginx", rate, "requests/s"),
        Figure("to a plain file of the same nginx", ratio, "x", at_least=0.9),
        Figure("from an upload's answer to the copy, median", median(lags) * 1000, "ms"),
        Figure("from an upload's answer to the copy, longest", max(lags) * 1000, "ms", at_most=1000),
    ]


def _lag(server: Server, copy: Path, number: int) -> float:
    with Client(server) as client:
        client.upload("app", str(number), b"%d" % number)
    answered = time.perf_counter()
    published = http(server, "GET", PATH, token=None).body
    while (copy / PATH.removeprefix("/")).read_bytes() != published:
        if time.perf_counter() - answered > 60:
            raise RuntimeError("the copy does not follow")
        time.sleep(0.001)
    return time.perf_counter() - answered


def _beside(front: Server) -> tuple[float, float]:
    """(ratio, requests per second of the copy), medians of rounds in turn."""
    rates: dict[str, list[float]] = {PATH: [], f"/plain{PATH}": []}
    for _ in range(ROUNDS):
        for path, seen in rates.items():
            quiet.wait(PATIENCE)
            seen.append(wrk.load(front.url + path, connections=CONNECTIONS, seconds=SECONDS).rate)
    from_copy, from_plain = (median(seen) for seen in rates.values())
    return from_copy / from_plain, from_copy
