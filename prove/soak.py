"""One server under a mixed load: its memory, its open files and its speed stay what they were, and nothing
fails.

`soak` takes ten minutes, or as many as are asked for, of 50 requests a second: devices that poll, walk and
download, people who list and search, upload, edit, and delete what they made; a source has something new
every minute. `memory` asks for the same as fast as it is answered, until as much was answered as in six
hours of that, or in as many as are asked for. The first hour, or half of a shorter time, is for warming up.
"""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from statistics import linear_regression, mean, quantiles

from api.sources import Feed, add, call, feed
from harness import Server, running_server
from prove.calls import body_of
from prove.claims import Setup, claim
from prove.processes import members, open_files, resident_bytes
from prove.traffic import working
from publisher import serving, target

MINUTES, HOURS = 10, 6
RATE, VISITORS = 50, 10
KEPT = 10
"""Packages of each visitor."""
HOUR = 3600.0
WARM_HOURS = 1.0
MIB_AN_HOUR = 1.0
MIB_OF_A_SHORT_RUN = 32.0
"""Caches take a quarter of an hour to fill: files of metadata, and pages of SQLite for each connection."""
FILES = 10
FILES_OF_A_SHORT_RUN = 20
"""Ten connections to the database are opened when they are first needed, each with two files."""
P99_SECONDS = 0.05
GOOD = {200, 206, 304}
VERIFY_SECONDS = 3600


@dataclass
class Visitor:
    """One connection; each of its requests is due `pause` seconds after the one before."""

    server: Server
    name: str
    dice: random.Random
    pause: float
    statuses: Counter[str] = field(default_factory=Counter)
    metadata: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    etag: str = ""
    made: int = 0

    def run(self, stop: threading.Event) -> None:
        connection, due = HTTPConnection("127.0.0.1", self.server.port, timeout=60), time.monotonic()
        acts = {self.poll: 50, self.walk: 15, self.fetch: 10, self.search: 15, self.change: 10}
        try:
            while not stop.wait(max(0.0, due - time.monotonic())):
                self.dice.choices(list(acts), list(acts.values()))[0](connection)
                due += self.pause
        except Exception as error:
            self.problems.append(f"{self.name}: {error!r}")
        finally:
            connection.close()

    def poll(self, connection: HTTPConnection) -> None:
        self._metadata(connection, "timestamp", {"If-None-Match": self.etag} if self.etag else {})

    def walk(self, connection: HTTPConnection) -> None:
        for role in ("snapshot", "targets"):
            self._metadata(connection, role, {})

    def _metadata(self, connection: HTTPConnection, role: str, headers: dict[str, str]) -> None:
        started = time.perf_counter()
        answered = self._ask(connection, "GET", f"/repo/{role}.json", headers=headers)
        self.metadata.append(time.perf_counter() - started)
        if role == "timestamp":
            self.etag = answered.get("etag", self.etag)

    def fetch(self, connection: HTTPConnection) -> None:
        if self.packages:
            part = {"Range": "bytes=100-999"}
            self._ask(connection, "GET", f"/repo/targets/{self.dice.choice(self.packages)}", headers=part)

    def search(self, connection: HTTPConnection) -> None:
        query = self.dice.choice(("limit=50", f"nameContains={self.name}", "hardwareIds=hw&limit=20"))
        self._ask(connection, "GET", f"/api/v2beta/packages?{query}")

    def change(self, connection: HTTPConnection) -> None:
        if len(self.packages) >= KEPT:
            gone = self.packages.pop(self.dice.randrange(KEPT))
            self._ask(connection, "DELETE", f"/api/v2beta/packages/{gone}")
        elif self.packages and self.dice.random() < 0.3:
            body = json.dumps({"comment": str(self.made)}).encode()
            path = f"/api/v2beta/packages/{self.dice.choice(self.packages)}"
            self._ask(connection, "PATCH", path, body, {"Content-Type": "application/json"})
        else:
            self.made += 1
            body = body_of(f"{self.name} {self.made}", self.dice.randrange(1024, 256 * 1024))
            query = f"name={self.name}&version={self.made}&hardwareId=hw&targetFormat=BINARY"
            self._ask(connection, "POST", f"/api/v2beta/packages?{query}", body)
            self.packages.append(f"{self.name}-{self.made}")

    def _ask(
        self,
        connection: HTTPConnection,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> dict[str, str]:
        bearer = {"Authorization": f"Bearer {self.server.token}"}
        connection.request(method, path, body, {**bearer, **(headers or {})})
        answer = connection.getresponse()
        text = answer.read()
        self.statuses[f"{method} {answer.status}"] += 1
        if answer.status not in GOOD:
            self.problems.append(f"{method} {path}: {answer.status} {text[:200]!r}")
        return {name.lower(): value for name, value in answer.getheaders()}


def prove(setup: Setup) -> list[str]:
    started, hours = time.monotonic(), (setup.rounds or MINUTES) / 60
    visitors, seen = _visited(setup, VISITORS / RATE, hours, lambda _: (time.monotonic() - started) / HOUR)
    p99 = quantiles([one for visitor in visitors for one in visitor.metadata], n=100)[98]
    told = [*_told(visitors, seen, hours), f"p99 of metadata {p99 * 1000:.1f} ms"]
    claim(p99 < P99_SECONDS + setup.patience, f"slow: {told}")
    return told


def prove_memory(setup: Setup) -> list[str]:
    hours = float(setup.rounds or HOURS)
    most = FILES if hours >= 2 * WARM_HOURS else FILES_OF_A_SHORT_RUN
    return _told(*_visited(setup, 0.0, hours, _hours_of_load), hours, most)


def _hours_of_load(visitors: Sequence[Visitor]) -> float:
    return sum(visitor.statuses.total() for visitor in visitors) / RATE / HOUR


@dataclass(frozen=True, slots=True)
class Seen:
    """Each second once it is warm; until then, nothing."""

    memory: list[tuple[float, float]]
    """(hours, MiB resident)"""
    files: list[int]
    """Open ones."""


def _visited(
    setup: Setup, pause: float, hours: float, passed: Callable[[Sequence[Visitor]], float]
) -> tuple[Sequence[Visitor], Seen]:
    """`passed`: how many hours of load."""
    with serving() as host, running_server(setup.directory / "soak") as server:
        source = feed(host, "soaked")
        add(server, source)
        visitors = [
            Visitor(server, f"load{number}", random.Random(f"{setup.seed} {number}"), pause)
            for number in range(VISITORS)
        ]
        with working([one.run for one in visitors]):
            seen = _looked_at(server, source, visitors, hours, passed)
        verified = server.run("verify", check=False, seconds=VERIFY_SECONDS)
        claim(verified.returncode == 0, f"otarium verify: {verified.stdout} {verified.stderr}")
    problems = [problem for visitor in visitors for problem in visitor.problems]
    claim(not problems, f"{len(problems)} failed: {problems[:5]}")
    return visitors, seen


def _looked_at(
    server: Server,
    source: Feed,
    visitors: Sequence[Visitor],
    hours: float,
    passed: Callable[[Sequence[Visitor]], float],
) -> Seen:
    """Until the hours are over, or something fails. The source has news every minute meanwhile."""
    seen, version, warm = Seen([], []), 1, min(WARM_HOURS, hours / 2)
    while (now := passed(visitors)) < hours and not any(visitor.problems for visitor in visitors):
        if now * 60 >= version - 1:
            version += 1
            source.publish(target(f"soaked/os-{version}"), version)
            refreshed = call(server, "POST", "/soaked/refresh")
            claim(refreshed.status == 200, f"refresh: {refreshed.status} {refreshed.body[:200]!r}")
        if now >= warm:
            processes = members(server.process.pid)
            seen.memory.append((now, resident_bytes(processes) / 1024**2))
            seen.files.append(open_files(processes))
        time.sleep(1.0)
    return seen


def _told(visitors: Sequence[Visitor], seen: Seen, hours: float, files: int = FILES) -> list[str]:
    statuses = sum((visitor.statuses for visitor in visitors), Counter[str]())
    counted = ", ".join(f"{count} {name}" for name, count in sorted(statuses.items()))
    told = [
        f"{hours * 60:.0f} minutes of load: {counted}",
        f"{min(seen.files)} to {max(seen.files)} open files",
        _growth(seen.memory, hours),
    ]
    claim(max(seen.files) - min(seen.files) <= files, f"files stay open: {told}")
    return told


def _growth(memory: list[tuple[float, float]], hours: float) -> str:
    """By the hour where there was one after warming up; else from one half of the rest to the other."""
    sizes = [size for _, size in memory]
    if hours >= 2 * WARM_HOURS:
        slope = linear_regression(*zip(*memory, strict=True)).slope
        ends = f"from {sizes[0]:.0f} to {sizes[-1]:.0f} MiB"
        claim(slope < MIB_AN_HOUR, f"memory grows by {slope:.1f} MiB an hour, {ends}")
        return f"{mean(sizes):.0f} MiB resident, growing by {slope:.2f} MiB an hour, {ends}"
    half = len(sizes) // 2
    grown = mean(sizes[half:]) - mean(sizes[:half])
    claim(grown < MIB_OF_A_SHORT_RUN, f"memory grew by {grown:.1f} MiB")
    return f"{mean(sizes):.0f} MiB resident, grown by {grown:.1f} MiB in the last quarter"
