"""Background work is done by one process at a time, and by another one when that is gone."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import PATIENCE
from otarium.adapters import migrations
from otarium.adapters.catalog_postgres import PostgresLocks
from otarium.adapters.leases_postgres import PostgresLeases
from otarium.adapters.locks import FileLeases, FileLocks
from otarium.domain.errors import Unavailable
from otarium.services.leases import Leases, leased
from otarium.services.ports_blobs import Locks

Opening = Callable[[], Leases]
SECONDS = 1.0


@pytest.fixture(params=["files", "postgresql"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Opening:
    """What makes the leases of another process."""
    if request.param == "files":
        return lambda: FileLeases(tmp_path / "leases")
    url = request.getfixturevalue("cluster").new_database()
    migrations.upgrade(url.replace("postgresql://", "postgresql+psycopg://"))
    return lambda: PostgresLeases(url, SECONDS)


def test_one_holds_and_goes_on_holding(opening: Opening) -> None:
    first, second = opening(), opening()
    assert [first.holds("sweep"), second.holds("sweep"), first.holds("sweep")] == [True, False, True]
    assert second.holds("renewal"), "another job is another lease"


def test_a_lease_that_is_given_up_is_taken_by_the_next(opening: Opening) -> None:
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
def test_a_holder_that_dies_or_freezes_loses_it(opening: Opening, stopped_by: int) -> None:
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


def test_who_fails_at_a_job_lets_another_try(opening: Opening) -> None:
    first, second, done = opening(), opening(), list[str]()

    def fail() -> None:
        raise Unavailable("the signer is away")

    failing, working = leased(first, "renewal", fail), leased(second, "renewal", lambda: done.append("x"))
    assert first.holds("renewal") and working() is None and done == []
    with pytest.raises(Unavailable):
        failing()
    working()
    assert done == ["x"] and not first.holds("renewal")


def test_a_database_that_is_away_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        PostgresLeases("postgresql://127.0.0.1:1/none").holds("sweep")


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
