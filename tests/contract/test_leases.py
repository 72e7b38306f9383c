"""Background work is done by one process at a time, and by another one when that is gone."""

import errno
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import psycopg
import pytest

from harness import PATIENCE
from otarium.adapters import migrations
from otarium.adapters.catalog_postgres import PostgresLocks
from otarium.adapters.leases_postgres import PostgresLeases
from otarium.adapters.locks import FileLeases, FileLocks
from otarium.domain.errors import Unavailable
from otarium.services.leases import ASK_SECONDS, LEASE_SECONDS, Leases, leased
from otarium.services.ports_blobs import Locks

SECONDS = 1.0
START = 1_000_000.0
HOUR = 3600


class Machines:
    """Makes the leases of one process after another; `sleep` lets time pass for all of them."""

    def __init__(self, directory: Path, url: str | None) -> None:
        self._directory = directory
        self._url = url
        self._now = START

    def __call__(self) -> Leases:
        if self._url is None:
            return FileLeases(self._directory, lambda: self._now)
        return PostgresLeases(self._url, SECONDS)

    def sleep(self, seconds: float) -> None:
        self._now += seconds
        if self._url is not None:
            with psycopg.connect(self._url) as connection:
                connection.execute("UPDATE leases SET until = until - %s", (seconds,))


@pytest.fixture(params=["files", "postgresql"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Machines:
    if request.param == "files":
        return Machines(tmp_path / "leases", None)
    url = request.getfixturevalue("cluster").new_database()
    migrations.upgrade(url.replace("postgresql://", "postgresql+psycopg://"))
    return Machines(tmp_path, url)


def test_one_holds_and_goes_on_holding(opening: Machines) -> None:
    first, second = opening(), opening()
    assert [first.holds("sweep"), second.holds("sweep"), first.holds("sweep")] == [True, False, True]
    assert second.holds("renewal"), "another job is another lease"


def test_a_lease_that_is_given_up_is_taken_by_the_next(opening: Machines) -> None:
    first, second = opening(), opening()
    assert first.holds("sweep")
    second.give_up("sweep")
    assert not second.holds("sweep"), "what another holds is not ours to give"
    first.give_up("sweep")
    assert second.holds("sweep") and not first.holds("sweep")


def hold(leases: Leases, holding: "multiprocessing.synchronize.Event") -> None:
    assert leases.holds("sweep")
    holding.set()
    time.sleep(60)


@pytest.mark.parametrize("stopped_by", [signal.SIGKILL, signal.SIGSTOP])
def test_a_holder_that_dies_or_freezes_loses_it(opening: Machines, stopped_by: int) -> None:
    context = multiprocessing.get_context("fork")
    holding = context.Event()
    holder = context.Process(target=hold, args=(opening(), holding))
    holder.start()
    assert holder.pid and holding.wait(10)
    here = opening()
    try:
        assert not here.holds("sweep")
        os.kill(holder.pid, stopped_by)
        if stopped_by == signal.SIGSTOP and isinstance(here, FileLeases):
            return  # the processes of one machine are frozen together, or killed
        deadline = time.monotonic() + 3 * SECONDS + PATIENCE
        while not here.holds("sweep"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        holder.kill()
        holder.join()


def test_who_fails_at_a_job_lets_another_try(opening: Machines) -> None:
    first, second, done = opening(), opening(), list[str]()

    def fail() -> None:
        raise Unavailable("the signer is away")

    failing, working = (
        leased(first, "renewal", 1.0, fail),
        leased(second, "renewal", 1.0, lambda: done.append("x")),
    )
    assert first.holds("renewal") and working() is None and done == []
    with pytest.raises(Unavailable):
        failing()
    working()
    assert done == ["x"] and not first.holds("renewal")


@pytest.mark.parametrize(("every", "hours", "least", "most"), [(60, 1, 50, 60), (6 * HOUR, 13, 3, 3)])
def test_a_job_that_is_done_seldom_is_done_once_in_its_interval_by_all_replicas_together(
    opening: Machines, every: float, hours: int, least: int, most: int
) -> None:
    """Those that were started at other times, too: the interval is longer than a lease lasts."""
    assert every > LEASE_SECONDS
    runs: list[int] = []
    jobs = [leased(opening(), "sweep", every, partial(runs.append, number)) for number in range(3)]
    step = every / 12
    for moment in range(int(hours * HOUR / step)):
        for number, job in enumerate(jobs):
            if moment >= number * 5:
                job()
        opening.sleep(step)
    assert least <= len(runs) <= most, runs


def test_a_turn_of_one_that_died_is_due_an_interval_later_and_not_more(opening: Machines) -> None:
    first, second = opening(), opening()
    assert first.turn("orphans", 6 * HOUR) and not second.turn("orphans", 6 * HOUR)
    del first
    opening.sleep(6 * HOUR - 60)
    assert not second.turn("orphans", 6 * HOUR)
    opening.sleep(61)
    assert second.turn("orphans", 6 * HOUR) and not opening().turn("orphans", 6 * HOUR)


def test_a_restart_does_not_forget_when_a_job_was_done(opening: Machines) -> None:
    assert opening().turn("orphans", 6 * HOUR)
    assert not opening().turn("orphans", 6 * HOUR)


def test_an_interval_that_was_made_shorter_is_not_waited_for(opening: Machines) -> None:
    assert opening().turn("sweep", 6 * HOUR)
    opening.sleep(61)
    assert opening().turn("sweep", 60)


def test_who_fails_at_a_seldom_job_lets_another_try_and_does_not_try_again_at_once(opening: Machines) -> None:
    tries: list[str] = []

    def fail(name: str) -> None:
        tries.append(name)
        raise Unavailable("the store is away")

    jobs = [leased(opening(), "orphans", 6 * HOUR, partial(fail, name)) for name in ("first", "second")]
    for _ in range(4):
        for job in jobs:
            with suppress(Unavailable):
                job()
        opening.sleep(ASK_SECONDS)
    assert tries == ["first", "second"]


def test_a_full_disk_stops_no_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep is what makes room on it."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "pwrite", full)
    assert FileLeases(tmp_path / "leases").turn("sweep", 60)


def test_a_database_that_is_away_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        PostgresLeases("postgresql://127.0.0.1:1/none", SECONDS).holds("sweep")


@pytest.fixture(params=["files", "postgresql"])
def locking(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Locks]:
    """What makes the locks of another process, by kind."""
    if request.param == "files":
        return lambda kind: FileLocks(tmp_path / kind)
    url = request.getfixturevalue("cluster").new_database()
    return lambda kind: PostgresLocks(url, kind)


def test_a_lock_has_one_holder_and_nobody_waits_for_it(locking: Callable[[str], Locks]) -> None:
    first, second, others = locking("blob"), locking("blob"), locking("source")
    with first.tried("sweep") as ours:
        with second.tried("sweep") as theirs, second.tried("x") as another, others.tried("sweep") as kind:
            assert (ours, theirs, another, kind) == (True, False, True, True)
        with second.tried("sweep") as theirs:
            assert not theirs, "whoever did not get it lets nobody in"
    with second.tried("sweep") as theirs:
        assert theirs


def hold_lock(locks: Locks, holding: "multiprocessing.synchronize.Event") -> None:
    with locks.tried("sweep") as ours:
        assert ours
        holding.set()
        time.sleep(60)


def test_the_lock_of_a_holder_that_died_is_free(locking: Callable[[str], Locks]) -> None:
    context = multiprocessing.get_context("fork")
    holding = context.Event()
    holder = context.Process(target=hold_lock, args=(locking("blob"), holding))
    holder.start()
    assert holder.pid and holding.wait(10)
    os.kill(holder.pid, signal.SIGKILL)
    holder.join(10)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with locking("blob").tried("sweep") as ours:
            if ours:
                return
        time.sleep(0.1)
    raise AssertionError("nobody got it")
