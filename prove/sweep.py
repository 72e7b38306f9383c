"""Upload, delete and sweep race over the same few blobs: nothing acknowledged loses its bytes.

Deleted packages get no grace and the sweep runs all the time. Every thread owns its ids, so it knows
which of them are there; the bytes under them are shared with all the others. There are more bodies than
packages at a time, so that many a blob is let go of just when somebody wants it again.
"""

import random
import threading
import time
from collections import Counter
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote

from harness import Server, http, running_server
from prove.calls import body_of, download, listed, post_package, sha256
from prove.claims import Setup, claim

SECONDS = 60
THREADS = 8
BODIES = 40
AT_ONCE = 2
OPTIONS = {"OTARIUM_DELETED_GRACE": "0", "OTARIUM_SWEEP_INTERVAL": "0.05"}


def prove(setup: Setup) -> list[str]:
    seconds = setup.rounds or SECONDS
    bodies = [body_of(f"shared {number}", 1024 << number % 8) for number in range(BODIES)]
    data = setup.directory / "sweep"
    with running_server(data, env=OPTIONS, workers=2) as server:
        owners = [_Owner(server, f"owner-{n}", bodies, f"{setup.seed} {n}") for n in range(THREADS)]
        swept = _run(owners, data, seconds)
        for owner in owners:
            claim(not owner.problems, owner.problems)
            owner.check_all()
        there = {package_id for owner in owners for package_id in owner.there}
        claim(set(listed(server)) == there, "what is listed is not what was acknowledged")
        verified = server.run("verify", check=False)
        claim(verified.returncode == 0, f"otarium verify: {verified.stdout} {verified.stderr}")
    claim(swept > 0, "the sweep removed nothing in all this time: nothing was raced")
    counts: Counter[str] = sum((owner.counts for owner in owners), Counter())
    counted = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return [
        f"{seconds} s: {counted}",
        f"blobs seen to go: {swept}; {len(there)} packages at the end, all whole",
    ]


def _run(owners: "list[_Owner]", data: Path, seconds: float) -> int:
    """How many times a blob was seen to be gone that was there before."""
    stop = threading.Event()
    threads = [threading.Thread(target=owner.run, args=(stop,)) for owner in owners]
    for thread in threads:
        thread.start()
    deadline, swept, before = time.monotonic() + seconds, 0, set[Path]()
    while time.monotonic() < deadline:
        now = {path for path in (data / "blobs" / "sha256").rglob("*") if len(path.name) == 64}
        swept, before = swept + len(before - now), now
        time.sleep(0.05)
    stop.set()
    for thread in threads:
        thread.join()
    return swept


class _Owner:
    """Uploads and deletes its own ids."""

    def __init__(self, server: Server, name: str, bodies: list[bytes], seed: str) -> None:
        self._server = server
        self._random = random.Random(seed)
        self._bodies = {f"{name}-{number}": (name, body) for number, body in enumerate(bodies)}
        self.there: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []

    def run(self, stop: threading.Event) -> None:
        try:
            while not stop.is_set():
                full = len(self.there) >= AT_ONCE
                self._act(self._random.choice(sorted(self.there if full else self._bodies)))
        except (AssertionError, OSError, HTTPException) as problem:
            self.problems.append(repr(problem))

    def _act(self, package_id: str) -> None:
        if package_id in self.there:
            self._check(package_id)
            answer = http(self._server, "DELETE", f"/api/v2beta/packages/{quote(package_id)}")
            claim(answer.status == 200, f"DELETE {package_id}: {answer.status} {answer.body[:200]!r}")
            self.there.discard(package_id)
            self.counts["deleted"] += 1
            return
        name, body = self._bodies[package_id]
        answer = post_package(self._server, name, package_id.rpartition("-")[2], body)
        claim(answer.status in (200, 503), f"POST {package_id}: {answer.status} {answer.body[:200]!r}")
        if answer.status == 200:
            self.there.add(package_id)
            self._check(package_id)
        self.counts["uploaded" if answer.status == 200 else "told to come back"] += 1

    def _check(self, package_id: str) -> None:
        answer = download(self._server, package_id)
        claim(answer.status == 200, f"GET {package_id}: {answer.status} {answer.body[:200]!r}")
        claim(sha256(answer.body) == sha256(self._bodies[package_id][1]), f"{package_id}: other bytes")

    def check_all(self) -> None:
        for package_id in self.there:
            self._check(package_id)
