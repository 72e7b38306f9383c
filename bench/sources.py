"""Other publishers' packages: a long list until it is found, and pages that mix theirs with ours.

A list of 20,000 packages (about 7 MiB) is taken over three times, each time as another source; the server's
memory is watched meanwhile, and so is how long devices wait. Pages are asked for in alternation on two
servers with the same 10,000 own packages, one of which also carries 20 sources of 5,000.
"""

import json
import threading
import time
from statistics import median
from typing import Any

from bench import quiet, wrk
from bench.figures import Figure
from bench.ground import Ground, require_tools
from bench.memory import Growth
from bench.page import CONNECTIONS, KINDS, SCRIPT
from bench.seeding import HARDWARE
from harness import Server, http
from publisher import Host, Publisher, serving, target

ROUNDS = 3
LARGE = 20_000
SOURCES = 20
EACH = 5_000
SECONDS = 3
PATIENCE = 10.0
AS_QUICK = ("any", "sorted")
"""The kinds of pages with a target: of the others more packages match, and matches are counted."""
MIB = 1024 * 1024
API = "/api/otarium/v1/sources"


def run(ground: Ground) -> list[Figure]:
    require_tools("wrk")
    with serving() as host:
        return [*taken_over(ground, host), *pages(ground, host)]


def listing(name: str, packages: int, more: int = 0) -> dict[str, Any]:
    """Entries of about 350 bytes."""
    made: dict[str, Any] = {}
    for number in range(packages + more):
        made |= target(
            f"{name}-{number % 997:03d}-{number // 997}.{number % 10}.0",
            hardware_ids=[HARDWARE[number % len(HARDWARE)]],
            uri=f"https://packages.example.com/{name}/{number}",
        )
    return made


def publish(host: Host, publisher: Publisher, version: int, packages: int, more: int = 0) -> int:
    """The size of its list."""
    raw = publisher.uptane(listing(publisher.name, packages, more), version)
    host.put(f"/{publisher.name}.json", raw)
    return len(raw)


def add(server: Server, host: Host, publisher: Publisher, **more: object) -> None:
    bundle = publisher.bundle(f"{host.url}/{publisher.name}.json", insecure=True, **more)
    kind = {"Content-Type": "application/json"}
    _expect("fresh", http(server, "POST", API, body=json.dumps(bundle).encode(), headers=kind, timeout=120))


def _expect(state: str, answer: Any) -> None:
    if answer.status != 200 or answer.json["state"] != state:
        raise RuntimeError(f"{answer.status}: {answer.body[:500]!r}")


def search(server: Server, name: str, expected: int) -> None:
    """A page of its packages whose name has something in it, and how many there are."""
    path = f"/api/v2/packages?packageSource={name}&nameContains={name}&limit=50&sortBy=Filename"
    found = http(server, "GET", path).json
    if found["total"] != expected or len(found["values"]) != 50:
        raise RuntimeError(f"{found['total']} packages of {name} are found, {expected} were published")


def taken_over(ground: Ground, host: Host) -> list[Figure]:
    seconds: dict[str, list[float]] = {"add": [], "again": [], "vouched": []}
    growth, waits, size = [], [], 0
    with ground.server("sources-large") as server:
        for number in range(ROUNDS):
            for kind in ("add", "vouched"):
                publisher = Publisher(f"large-{kind}-{number}", [f"large-{kind}-{number}-*"])
                size = publish(host, publisher, 1, LARGE)
                quiet.wait(PATIENCE)
                with Growth(server.process.pid) as memory, Waiting(server) as waiting:
                    seconds[kind].append(_timed(server, host, publisher, vouch=kind == "vouched"))
                if kind == "add":
                    growth.append(memory.bytes)
                    waits.append(waiting.longest)
                    seconds["again"].append(_refreshed(server, host, publisher))
    return [
        Figure(f"a list of {LARGE:,} packages", size / MIB, "MiB"),
        Figure("taken over and found, worst of 3", max(seconds["add"]), "s", at_most=5),
        Figure("growth of the server's memory, worst of 3", max(growth) / MIB, "MiB", at_most=200),
        Figure("longest wait for a timestamp meanwhile", max(waits) * 1000, "ms"),
        Figure("the same list vouched for, worst of 3", max(seconds["vouched"]), "s"),
        Figure("refreshed with one package more, worst of 3", max(seconds["again"]), "s"),
    ]


def _timed(server: Server, host: Host, publisher: Publisher, **more: object) -> float:
    started = time.perf_counter()
    add(server, host, publisher, **more)
    search(server, publisher.name, LARGE)
    return time.perf_counter() - started


def _refreshed(server: Server, host: Host, publisher: Publisher) -> float:
    publish(host, publisher, 2, LARGE - 1, 1)
    started = time.perf_counter()
    _expect("fresh", http(server, "POST", f"{API}/{publisher.name}/refresh", timeout=120))
    return time.perf_counter() - started


class Waiting:
    """Asks for a timestamp again and again; `longest` is the longest that an answer took."""

    def __init__(self, server: Server) -> None:
        self.longest = 0.0
        self._server, self._done = server, threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> "Waiting":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._done.wait(0.02):
            started = time.perf_counter()
            http(self._server, "GET", "/repo/timestamp.json", token=None)
            self.longest = max(self.longest, time.perf_counter() - started)


def pages(ground: Ground, host: Host) -> list[Figure]:
    figures = []
    with ground.seeded_server("sources-none") as own, ground.seeded_server("sources-many") as mixed:
        for number in range(SOURCES):
            publisher = Publisher(f"feed-{number:02d}", [f"feed-{number:02d}-*"])
            publish(host, publisher, 1, EACH)
            add(mixed, host, publisher)
        for kind, title in KINDS.items():
            rates = _rates(own, mixed, kind)
            title = f"pages of 50: {title}"
            figures.append(Figure(f"{title}: own packages alone", rates[own.port], "pages/s"))
            figures.append(Figure(f"{title}: beside {SOURCES} x {EACH:,}", rates[mixed.port], "pages/s"))
            least = 0.7 if kind in AS_QUICK else None
            figures.append(
                Figure(f"{title}: ratio", rates[mixed.port] / rates[own.port], "x", at_least=least)
            )
    return figures


def _rates(own: Server, mixed: Server, kind: str) -> dict[int, float]:
    """Pages per second by port, measured in turns."""
    seen: dict[int, list[float]] = {own.port: [], mixed.port: []}
    for _ in range(ROUNDS):
        for server in (own, mixed):
            quiet.wait(PATIENCE)
            load = {"headers": (f"Authorization: Bearer {server.token}",), "connections": CONNECTIONS}
            seen[server.port].append(wrk.load(server.url, SCRIPT, kind, seconds=SECONDS, **load).rate)
    return {port: median(rates) for port, rates in seen.items()}
