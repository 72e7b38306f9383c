"""Uploaders that keep books: what was acknowledged, what was under way when the server went.

Every thread owns its packages, so what it knows of them needs no lock; `settle` compares the books with
what the server lists after a restart.
"""

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from urllib.parse import quote

from harness import Answer, Server, http
from prove.calls import body_of, is_refused_for_now, post_package, sha256
from prove.claims import claim

SMALLEST, LARGEST = 1024, 16 * 1024 * 1024
UPLOADERS = 8
Hardware = tuple[str, ...]


@dataclass(slots=True)
class Book:
    """One package: what may be true of it. A change under way leaves two possibilities."""

    sha256: str
    length: int
    downloaded: bool = False
    present: set[bool] = field(default_factory=lambda: {False})
    hardware: set[Hardware] = field(default_factory=lambda: {("docker-compose",)})


class Uploader:
    """One thread's work; `stop` ends it, and so does the server's death after `killed`."""

    def __init__(self, server: Server, name: str, seed: str) -> None:
        self.server = server
        self._name = name
        self._random = random.Random(seed)
        self._number = 0
        self.books: dict[str, Book] = {}
        self.statuses: Counter[str] = Counter()
        self.problems: list[str] = []

    def run(self, stop: threading.Event, killed: threading.Event) -> None:
        try:
            while not stop.is_set():
                self._act()
        except (OSError, HTTPException) as error:
            if not killed.is_set():
                self.problems.append(f"{self._name}: {error!r} before the kill")

    def _act(self) -> None:
        here = [package_id for package_id, book in self.books.items() if book.present == {True}]
        dice = self._random.random()
        if here and dice < 0.1:
            self._delete(self._random.choice(here))
        elif here and dice < 0.2:
            self._edit(self._random.choice(here))
        else:
            self._upload()

    def _upload(self) -> None:
        self._number += 1
        version = str(self._number)
        length = int(SMALLEST * (LARGEST / SMALLEST) ** self._random.random())
        body = body_of(f"{self._name} {version}", length)
        book = self.books[f"{self._name}-{version}"] = Book(sha256(body), length)
        book.present.add(True)
        if self._acknowledged("POST", post_package(self.server, self._name, version, body)):
            book.present = {True}

    def _delete(self, package_id: str) -> None:
        book = self.books[package_id]
        book.present.add(False)
        if self._acknowledged("DELETE", http(self.server, "DELETE", _path(package_id))):
            book.present = {False}

    def _edit(self, package_id: str) -> None:
        book, hardware = self.books[package_id], (f"board-{self._random.randrange(1000)}",)
        book.hardware.add(hardware)
        body = json.dumps({"hardwareIds": hardware}).encode()
        kind = {"Content-Type": "application/json"}
        if self._acknowledged(
            "PATCH", http(self.server, "PATCH", _path(package_id), body=body, headers=kind)
        ):
            book.hardware = {hardware}

    def _acknowledged(self, method: str, answer: Answer) -> bool:
        self.statuses[f"{method} {answer.status}"] += 1
        if answer.status != 200 and not is_refused_for_now(answer):
            self.problems.append(f"{method}: {answer.status} {answer.headers} {answer.body[:200]!r}")
        return answer.status == 200

    def settle(self, listed: dict[str, dict[str, object]]) -> None:
        """Compare with what is listed now, which then is the truth."""
        for package_id, book in self.books.items():
            package = listed.get(package_id)
            claim((package is not None) in book.present, f"{package_id}: listed is {package is not None}")
            book.present = {package is not None}
            if package is not None:
                found = (package["hashes"]["sha256"], package["size"])
                claim(found == (book.sha256, book.length), f"{package_id} is listed as {found}")
                hardware = tuple(package["hardwareIds"])
                claim(hardware in book.hardware, f"{package_id} has {hardware}, not one of {book.hardware}")
                book.hardware = {hardware}


class Roamer(Uploader):
    """An uploader behind a balancer: any of the replicas gets a call, and one that is gone is no surprise."""

    def __init__(self, replicas: Sequence[Server], name: str, seed: str) -> None:
        super().__init__(replicas[0], name, seed)
        self._replicas = replicas

    def run(self, stop: threading.Event, killed: threading.Event) -> None:
        while not stop.is_set():
            self.server = self._random.choice(self._replicas)
            try:
                self._act()
            except (OSError, HTTPException):
                self.statuses["without an answer"] += 1
                stop.wait(0.05)


@contextmanager
def working(runs: Sequence[Callable[[threading.Event], object]]) -> Iterator[None]:
    """All of these at once, each told when to stop."""
    stop = threading.Event()
    threads = [threading.Thread(target=run, args=(stop,)) for run in runs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _path(package_id: str) -> str:
    return f"/api/v2beta/packages/{quote(package_id, safe='')}"
