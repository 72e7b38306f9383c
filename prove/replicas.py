"""Two replicas over one PostgreSQL: one is killed every 20 seconds for 10 minutes, and the other one frozen
now and then.

Eight uploaders send each call to either of them and keep books; an observer walks the metadata of each. A
call is answered, refused for now with a time to come again, or cut off by a kill; nothing else. A frozen
replica that holds the writer's lock stops the other one for no longer than its timeout.
"""

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import psycopg

from harness import Server, running_server
from postgresql import running_cluster
from prove.calls import download, is_refused_for_now, listed, post_package, sha256
from prove.claims import Setup, claim
from prove.observer import Observer
from prove.processes import members
from prove.traffic import UPLOADERS, Roamer, working

ROUNDS = 30
SECONDS, SHORT_SECONDS = 20.0, 6.0
FREEZES_EVERY = 5
LOCK_SECONDS = 10.0
"""What `idle_in_transaction_session_timeout` is set to; a database looks at it to the second."""
SLACK = 3.0
VERIFY_SECONDS = 600
"""Thousands of releases were made, and all that are kept are checked."""
_IDLE = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND state = 'idle in transaction' AND state_change < clock_timestamp() - interval '300 ms'"
)


def prove(setup: Setup) -> list[str]:
    rounds, seconds = setup.rounds or ROUNDS, SHORT_SECONDS if setup.rounds else SECONDS
    frozen, late = list[float](), 0.0
    with running_cluster() as cluster, ExitStack() as running:
        url = cluster.new_database()
        replicas = running.enter_context(_replicas(setup, url))
        seen: dict[tuple[str, str, int], str] = {}
        observers = [running.enter_context(Observer(replica, seen)) for replica in replicas]
        roamers = [Roamer(replicas, f"load-{n}", f"{setup.seed} {n}") for n in range(UPLOADERS)]
        with working([lambda stop, one=one: one.run(stop, stop) for one in roamers]):
            started = time.monotonic()
            for number in range(1, rounds + 1):
                struck, other = replicas if number % 2 else reversed(replicas)
                due = started + number * seconds
                time.sleep(max(0.0, due - time.monotonic()))
                late = max(late, time.monotonic() - due)
                struck.kill_group()
                struck.start()
                if number % FREEZES_EVERY == 2:
                    frozen.append(_frozen(other, struck, url, number, LOCK_SECONDS + SLACK + setup.patience))
            lasted = time.monotonic() - started
        downloads = _check(replicas, roamers)
        problems = [one for observer in observers for one in observer.problems]
        claim(not problems, problems)
    statuses = sum((roamer.statuses for roamer in roamers), Counter[str]())
    present = sum(book.present == {True} for one in roamers for book in one.books.values())
    return [
        f"{rounds} x kill -9 of a replica in {lasted:.0f} s, each {seconds:.0f} s, at most {late:.1f} s late",
        f"{len(frozen)} x SIGSTOP of one that held the lock",
        f"answers: {', '.join(f'{count} {name}' for name, count in sorted(statuses.items()))}",
        f"{present} packages at the end, 0 acknowledged ones lost, {downloads} downloads compared",
        f"{sum(one.walks for one in observers)} walks of two observers saw {len(seen)} files:"
        " no version with two byte strings, none falling",
        f"beside a frozen replica the other published after at most {max(frozen, default=0):.1f} s",
    ]


@contextmanager
def _replicas(setup: Setup, url: str) -> Iterator[list[Server]]:
    """Each with a data directory of its own; the blobs are on a disk that they share."""
    shared: Mapping[str, str] = {
        "OTARIUM_DATABASE_URL": url,
        "OTARIUM_BLOBS_URL": f"file://{(setup.directory / 'blobs').resolve()}",
    }
    first, second = setup.directory / "first", setup.directory / "second"
    with running_server(first, env=shared) as one:
        second.mkdir(mode=0o700)
        shutil.copy(first / "master.key", second / "master.key")
        with running_server(second, env=shared) as other:
            yield [one, other]


def _frozen(struck: Server, other: Server, url: str, number: int, most: float) -> float:
    """Freeze a replica while it holds the lock; the seconds until the other one publishes, `most` at most."""
    with psycopg.connect(url, autocommit=True) as database:
        try:
            for _ in range(400):
                _signal(struck, signal.SIGSTOP)
                if _holds_the_lock(database):
                    return _seconds_until_published(other, number, most)
                _signal(struck, signal.SIGCONT)
                time.sleep(random.uniform(0.005, 0.05))
        finally:
            _signal(struck, signal.SIGCONT)
    raise AssertionError("a replica was never met with the lock in its hands")


def _signal(server: Server, number: int) -> None:
    for pid in members(server.process.pid):
        os.kill(pid, number)


def _holds_the_lock(database: "psycopg.Connection[tuple[int]]") -> bool:
    """Whether a transaction stays open although nothing is done in it."""
    time.sleep(0.35)
    found = database.execute(_IDLE).fetchone()
    return found is not None and found[0] > 0


def _seconds_until_published(other: Server, number: int, most: float) -> float:
    started = time.monotonic()
    for attempt in range(1000):
        answer = post_package(other, "beside-a-frozen-one", f"{number}.{attempt}", b"x" * (attempt + 1))
        seconds = time.monotonic() - started
        if answer.status == 200:
            claim(seconds <= most, f"the lock was held for {seconds:.1f} s")
            return seconds
        claim(is_refused_for_now(answer), f"{answer.status} {answer.headers} {answer.body[:200]!r}")
    raise AssertionError("the other replica never published")


def _check(replicas: Sequence[Server], roamers: Sequence[Roamer]) -> int:
    """Both list what was acknowledged, and all of it can be downloaded; the number of downloads."""
    downloads = 0
    for replica in replicas:
        truth = listed(replica)
        for roamer in roamers:
            claim(not roamer.problems, roamer.problems)
            roamer.settle(truth)
        verified = replica.run("verify", check=False, seconds=VERIFY_SECONDS)
        claim(verified.returncode == 0, f"otarium verify: {verified.stdout} {verified.stderr}")
    for roamer in roamers:
        for package_id, book in roamer.books.items():
            if book.present == {True}:
                answer = download(random.choice(replicas), package_id)
                claim(answer.status == 200, f"{package_id}: {answer.status} {answer.body[:200]!r}")
                claim(sha256(answer.body) == book.sha256, f"{package_id} has other bytes")
                downloads += 1
    return downloads
