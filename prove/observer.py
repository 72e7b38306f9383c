"""A device that never stops looking: timestamp, snapshot, targets, in both dialects, and in one also a shelf.

It keeps the sha256 of every (dialect, role, version) that it ever got. Two byte strings under one version,
a version that falls, or a chain that does not fit is a broken promise, restarts or not. A second thread
looks at the timestamp alone, as often as it can while `alert` is set; it can strike in the moment a release
is first shown.
"""

import hashlib
import json
import random
import re
import sys
import threading
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from typing import Any

from harness import Server, http

_VERSION = re.compile(rb'"version":(\d+)\}\}$')
PAUSE = 0.02
GLANCE = 0.0005
QUICKLY = 0.0005  # between threads; else it would wait for the uploaders of its own process, and strike late


class Observer:
    """`with Observer(server) as observer: ...`; `problems` is what it found."""

    def __init__(self, server: Server, seen: dict[tuple[str, str, int], str] | None = None) -> None:
        """`seen` is shared by the observers of replicas, which may not differ from each other."""
        self._server = server
        self._done = threading.Event()
        self._interval = sys.getswitchinterval()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=job) for job in (self._run, self._glance)]
        self._seen = {} if seen is None else seen
        self._highest: dict[tuple[str, str], int] = {}
        self.alert = threading.Event()
        self._newest = 0
        self._strike: Callable[[], None] | None = None
        self._struck = threading.Event()
        self.walks = 0
        self.glances = 0
        self.problems: list[str] = []

    @property
    def files(self) -> int:
        return len(self._seen)

    def __enter__(self) -> "Observer":
        sys.setswitchinterval(QUICKLY)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()
        sys.setswitchinterval(self._interval)

    def _run(self) -> None:
        while not self._done.wait(PAUSE):
            for dialect in ("tuf", "repo"):
                try:
                    self._walk(dialect)
                except (OSError, HTTPException, _NotServed):
                    continue  # it is down, or just coming up
                self.walks += 1

    def _glance(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._server.port, timeout=30)
        while not self._done.wait(GLANCE):
            if not self.alert.wait(PAUSE):
                continue
            try:
                connection.request("GET", "/tuf/timestamp.json")
                answer = connection.getresponse()
                raw = answer.read()
            except (OSError, HTTPException):
                connection.close()
                self._done.wait(PAUSE)
                continue
            if answer.status == 200:
                self._look_for_news(raw)
            self.glances += 1

    def _look_for_news(self, raw: bytes) -> None:
        version = _version(raw)
        if version > self._newest and self._strike is not None:
            self._strike()
            self._strike = None
            self._struck.set()
        self._newest = max(self._newest, version)
        self._record("tuf", "timestamp", raw, falls=False)

    def at_next_release(self, action: Callable[[], None], seconds: float) -> bool:
        """Do it when the next release is first seen; whether one was, within that time."""
        self._struck.clear()
        self._strike = action
        if self._struck.wait(seconds):
            return True
        self._strike = None
        return self._struck.wait(0.1)

    def _walk(self, dialect: str) -> None:
        timestamp = self._get(dialect, "timestamp", 0, None)
        line = _listed(timestamp, "snapshot.json")
        snapshot = self._get(dialect, "snapshot", line["version"], line)
        line = _listed(snapshot, "targets.json")
        self._get(dialect, "targets", line["version"], line)
        shelves = _shelves(snapshot)
        for role, version in shelves.items():
            self._may_not_fall(dialect, role, version)
        if shelves and dialect == "tuf":
            role = random.choice(list(shelves))
            if _version(self._get(dialect, role, shelves[role], None)) != shelves[role]:
                self._found(f"/{dialect} {role} is not the version that the snapshot lists")

    def _get(self, dialect: str, role: str, version: int, line: dict[str, Any] | None) -> bytes:
        prefix = f"{version}." if dialect == "tuf" and version else ""
        path = f"/{dialect}/{prefix}{role}.json"
        answer = http(self._server, "GET", path, token=None)
        if answer.status == 503:
            raise _NotServed
        if answer.status != 200:
            self._found(f"{path}: {answer.status} {answer.body[:200]!r}")
            raise _NotServed
        found = (len(answer.body), hashlib.sha256(answer.body).hexdigest())
        if line is not None and found != (line["length"], line["hashes"]["sha256"]):
            self._found(f"{path} is not what the file before it lists as version {version}")
        self._record(dialect, role, answer.body)
        return answer.body

    def _record(self, dialect: str, role: str, raw: bytes, *, falls: bool = True) -> None:
        """`falls` says whether a version below the highest is a finding: of two threads' answers, the
        older may come in last."""
        version, digest = _version(raw), hashlib.sha256(raw).hexdigest()
        with self._lock:
            if self._seen.setdefault((dialect, role, version), digest) != digest:
                self._found(f"/{dialect} {role} version {version} has two byte strings")
            if falls:
                self._may_not_fall(dialect, role, version)

    def _may_not_fall(self, dialect: str, role: str, version: int) -> None:
        if version < self._highest.get((dialect, role), 0):
            self._found(f"/{dialect} {role} fell from {self._highest[dialect, role]} to {version}")
        self._highest[dialect, role] = version

    def _found(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


class _NotServed(Exception):
    pass


def _version(raw: bytes) -> int:
    return int(_VERSION.search(raw)[1])


def _shelves(snapshot: bytes) -> dict[str, int]:
    """The versions of delegated roles, of which nothing else is listed."""
    meta = json.loads(snapshot)["signed"]["meta"]
    return {name.removesuffix(".json"): line["version"] for name, line in meta.items() if len(line) == 1}


def _listed(raw: bytes, name: str) -> dict[str, Any]:
    return json.loads(raw)["signed"]["meta"][name]
