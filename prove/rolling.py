"""Replicas restarted in turn behind the shipped proxies, under load, and the database locked for a while: no
GET of a device fails, no upload is lost.

Devices fetch what a device fetches, in its order, each over a connection of its own to the proxy. Uploaders
repeat what was not acknowledged, as clients do; whatever was acknowledged must be listed at the end.
"""

import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException

import psycopg

from harness import Server, http
from prove.calls import body_of, listed, post_package, sha256
from prove.claims import Impossible, Setup, claim
from proxies import DEVICE_HEADER, PROXIES, is_installed, running_proxy
from replicas import running_replicas, shared_settings

ROUNDS = 3
DEVICES = 8
UPLOADERS = 2
PAUSE = 1.0  # seconds of load between two restarts
TRIES = 20
LOCKED = 8.0  # seconds, in which a balancer has long noticed who is not ready
FILES = ("timestamp.json", "snapshot.json", "targets.json")


def prove(setup: Setup) -> list[str]:
    rounds, told = setup.rounds or ROUNDS, []
    for name in PROXIES:
        if not is_installed(name):
            raise Impossible(f"{name} is not installed")
        told.append(_behind(name, setup, rounds))
    return told


def _behind(name: str, setup: Setup, rounds: int) -> str:
    directory = setup.directory / name
    directory.mkdir(parents=True)
    settings = {**DEVICE_HEADER, "OTARIUM_LEAVE_SECONDS": "3" if name == "haproxy" else "0"}
    with (
        shared_settings() as shared,
        running_replicas(directory, 2, {**shared, **settings}) as replicas,
        running_proxy(name, directory, replicas) as port,
    ):
        load = _Load(Server(replicas[0].data_dir, port, token=replicas[0].token))
        with load:
            for number in range(rounds * len(replicas)):
                time.sleep(PAUSE)
                replica = replicas[number % len(replicas)]
                code = replica.stop()
                claim(code == 0, f"a replica ended with {code}: {replica.log_tail()}")
                replica.start()
            _lock_the_database(shared["OTARIUM_DATABASE_URL"], replicas)
            time.sleep(PAUSE)
        claim(not load.failed, f"{name}: {len(load.failed)} failed: {load.failed[:5]}")
        claim(load.counts["GETs of devices"] > 0 and load.books, "there was no load")
        for replica in replicas:
            here = {package: row["hashes"]["sha256"] for package, row in listed(replica).items()}
            lost = {package for package, digest in load.books.items() if here.get(package) != digest}
            claim(not lost, f"lost: {sorted(lost)}")
    counted = ", ".join(f"{count} {what}" for what, count in sorted(load.counts.items()))
    happened = f"{rounds} restarts of each of 2 replicas, the database locked for {LOCKED:.0f} s"
    return f"{name}: {happened}: {counted}; none failed, none lost"


def _lock_the_database(url: str, replicas: list[Server]) -> None:
    """As a replica does that freezes, or a command that takes long."""
    with psycopg.connect(url) as database:
        database.execute("SELECT namespace FROM repository FOR UPDATE")
        until = time.monotonic() + LOCKED
        for replica in replicas:
            while http(replica, "GET", "/health/ready", token=None).status == 200:
                claim(time.monotonic() < until, "nobody noticed the lock")
            claim(http(replica, "GET", "/health/devices", token=None).status == 200, replica.log_tail())
        time.sleep(max(0.0, until - time.monotonic()))


class _Load:
    """Devices and uploaders against the proxy, between enter and exit."""

    def __init__(self, proxy: Server) -> None:
        self._proxy = proxy
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.failed: list[str] = []
        self.counts: Counter[str] = Counter()
        self.books: dict[str, str] = {}
        work = [(self._device, number) for number in range(DEVICES)]
        work += [(self._uploader, number) for number in range(UPLOADERS)]
        self._threads = [threading.Thread(target=self._guarded, args=job) for job in work]

    def __enter__(self) -> None:
        self._upload("rolling-first", "1")
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _guarded(self, job, number: int) -> None:  # type: ignore[no-untyped-def]
        try:
            job(number)
        except Exception as error:
            self.failed.append(f"{job.__name__} {number}: {error!r}")

    def _device(self, number: int) -> None:
        paths = [f"/repo/{name}" for name in FILES] + ["/repo/1.root.json", "/tuf/timestamp.json"]
        paths.append("/repo/targets/rolling-first-1")
        headers = {"Authorization": f"Bearer device-{number}"}
        connection = HTTPConnection("127.0.0.1", self._proxy.port, timeout=30)
        while not self._stop.is_set():
            for path in paths:
                ranged = {"Range": "bytes=100-199"} if "/targets/" in path else {}
                try:
                    connection.request("GET", path, headers={**headers, **ranged})
                    answer = connection.getresponse()
                    body = answer.read()
                    whole = answer.status == 206 and len(body) == 100 if ranged else answer.status == 200
                    if not whole:
                        self.failed.append(f"GET {path}: {answer.status} {body[:100]!r}")
                except (OSError, HTTPException) as error:
                    self.failed.append(f"GET {path}: {error!r}")
                    connection.close()
                with self._lock:
                    self.counts["GETs of devices"] += 1

    def _uploader(self, number: int) -> None:
        version = 0
        while not self._stop.is_set():
            version += 1
            self._upload(f"rolling-{number}", str(version))

    def _upload(self, name: str, version: str) -> None:
        """As a client does it: the same again until it is acknowledged."""
        body = body_of(f"{name} {version}", 50_000)
        for _ in range(TRIES):
            try:
                status = post_package(self._proxy, name, version, body).status
            except (OSError, HTTPException):
                status = 0
            if status == 200:
                with self._lock:
                    self.books[f"{name}-{version}"] = sha256(body)
                    self.counts["uploads"] += 1
                return
            if status not in (0, 502, 503, 504):
                raise AssertionError(f"an upload got {status}")
            with self._lock:
                self.counts["uploads repeated"] += 1
            time.sleep(0.2)
        raise AssertionError(f"{name} {version} was not taken in {TRIES} tries")
