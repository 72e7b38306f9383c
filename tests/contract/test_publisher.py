"""The publisher: outcomes of their own, one release per batch, nothing half after a failure."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from builders import package
from otarium import backends
from otarium.domain.errors import Conflict, PackageNotFound, Unavailable
from otarium.domain.names import PackageId
from otarium.domain.packages import Package
from otarium.domain.shelves import ShelfLimits
from otarium.services import renewal
from otarium.services.health import Health
from otarium.services.metadata import LOOK_SECONDS, Metadata
from otarium.services.ports import Transaction
from otarium.services.publishing import Change, Outcome, Publisher
from otarium.services.shelving import Shelving
from repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    made = Repository(tmp_path)
    yield made
    made.close()


def adding(name: str) -> Change[Package]:
    """A change that adds a package whose bytes live elsewhere."""

    def change(tx: Transaction, now: int) -> Outcome[Package]:
        if tx.packages.get(PackageId(f"{name}-1")):
            raise Conflict("exists")
        one = package(name, created_at=now, updated_at=now, revision=tx.packages.next_revision())
        one = replace(one, content=replace(one.content, location="https://x.example/"))
        role, signs = Shelving(ShelfLimits()).put(tx, one.name, one.id, one.entry())
        tx.packages.add(one, role, one.entry())
        return Outcome(one, signs)

    return change


def listed(metadata: Metadata) -> set[str]:
    metadata.refresh()
    raw = metadata.current.targets.uptane.raw
    return set(json.loads(raw)["signed"]["targets"])


def test_an_answer_means_that_devices_are_served_the_change(repository: Repository) -> None:
    publisher, metadata = repository.worker()
    before = metadata.current.number
    publisher.submit(adding("a")).result(10)
    assert metadata.current.number == before + 1
    assert listed(metadata) == {"a-1"}


def test_a_refused_change_leaves_the_others_of_its_batch_alone(repository: Repository) -> None:
    publisher, metadata = repository.worker()
    publisher.submit(adding("taken")).result(10)
    with hold(publisher):
        futures = [publisher.submit(adding(name)) for name in ("a", "taken", "b")]
        before = metadata.current.number
    assert [future.exception(10) is None for future in futures] == [True, False, True]
    assert listed(metadata) == {"a-1", "b-1", "taken-1"}
    assert metadata.current.number == before + 1, "one release for the whole batch"


class hold:
    """Keeps the publisher busy, so that what is submitted inside waits as one batch."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._entered, self._release = threading.Event(), threading.Event()

    def __enter__(self) -> None:
        def wait(_tx: Transaction, _now: int) -> Outcome[None]:
            self._entered.set()
            self._release.wait(10)
            return Outcome(None)

        self._publisher.submit(wait)
        assert self._entered.wait(10)

    def __exit__(self, *_: object) -> None:
        self._release.set()


def test_a_change_that_breaks_takes_nobody_with_it(repository: Repository) -> None:
    publisher, metadata = repository.worker()

    def broken(tx: Transaction, now: int) -> Outcome[None]:
        adding("half")(tx, now)
        raise ZeroDivisionError

    with hold(publisher):
        good, bad, other = (publisher.submit(one) for one in (adding("a"), broken, adding("b")))
    assert good.result(10).id == "a-1"
    assert other.result(10).id == "b-1"
    assert isinstance(bad.exception(10), Unavailable)
    assert listed(metadata) == {"a-1", "b-1"}


def test_a_signer_that_fails_publishes_nothing_and_recovers(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher, metadata = repository.worker()
    before = metadata.current.number
    with monkeypatch.context() as patched:
        patched.setattr(publisher._signer, "sign", _refuse)
        assert isinstance(publisher.submit(adding("a")).exception(10), Unavailable)
    assert (listed(metadata), metadata.current.number) == (set(), before)
    publisher.submit(adding("a")).result(10)
    assert listed(metadata) == {"a-1"}


def _refuse(_role: str, _payload: bytes) -> None:
    raise Unavailable("the signer is away")


def test_two_workers_publish_in_turn_without_losing_anything(repository: Repository) -> None:
    workers = [repository.worker() for _ in range(2)]
    for number in range(10):
        workers[number % 2][0].submit(adding(f"n{number}")).result(10)
    expected = {f"n{number}-1" for number in range(10)}
    assert [listed(metadata) for _, metadata in workers] == [expected, expected]


def test_two_workers_publish_at_once_without_losing_anything(repository: Repository) -> None:
    workers = [repository.worker() for _ in range(3)]
    futures = [workers[number % 3][0].submit(adding(f"n{number}")) for number in range(60)]
    for future in futures:
        future.result(30)
    for _, metadata in workers:
        assert len(listed(metadata)) == 60


def test_a_change_without_signed_bytes_makes_no_release(repository: Repository) -> None:
    publisher, metadata = repository.worker()
    before = metadata.current.number
    publisher.submit(lambda _tx, _now: Outcome("done")).result(10)
    assert metadata.current.number == before


def test_what_is_due_is_signed_again_once_however_many_workers_look(repository: Repository) -> None:
    (first, metadata), (second, other) = repository.worker(), repository.worker()
    before = metadata.current
    repository.clock.time += 6 * 3600
    assert renewal.renew(repository.opened.catalog, metadata, first, repository.clock)
    assert not renewal.renew(repository.opened.catalog, other, second, repository.clock)
    assert metadata.current.number == before.number + 1
    assert metadata.current.snapshot == before.snapshot


def test_nothing_ever_expires_over_a_year_and_a_half(repository: Repository) -> None:
    publisher, metadata = repository.worker()
    numbers = []
    for _ in range(3 * 366):
        repository.clock.time += 86_400 // 2
        renewal.renew(repository.opened.catalog, metadata, publisher, repository.clock)
        current = metadata.current
        assert min(file.expires for file in current.files()) > repository.clock.time + 3600
        numbers.append((current.root.version, current.number))
    assert numbers == sorted(numbers)
    assert metadata.current.root.version == 4


def test_a_catalog_that_fell_back_is_not_served_and_not_published_over(repository: Repository) -> None:
    publisher, metadata = repository.worker()
    publisher.submit(adding("a")).result(10)
    served = metadata.current
    with repository.opened.catalog.write() as tx:
        tx._connection.exec_driver_sql("UPDATE repository SET timestamp = 1, snapshot = 1, targets = 1")  # type: ignore[attr-defined]
    metadata.refresh()
    assert metadata.current == served
    assert metadata.behind
    assert isinstance(publisher.submit(adding("b")).exception(10), Unavailable)
    with repository.opened.catalog.write() as tx:
        counters = served.counters
        tx._connection.exec_driver_sql(  # type: ignore[attr-defined]
            f"UPDATE repository SET timestamp = {counters.timestamp}, snapshot = {counters.snapshot}, "
            f"targets = {counters.targets}"
        )
    publisher.submit(adding("b")).result(10)
    assert not metadata.behind


def test_a_package_that_is_gone_is_not_found_by_a_later_change(repository: Repository) -> None:
    publisher, _ = repository.worker()

    def missing(tx: Transaction, _now: int) -> Outcome[None]:
        raise PackageNotFound("gone")

    assert isinstance(publisher.submit(missing).exception(10), PackageNotFound)


def test_a_worker_that_only_watches_stays_ready(repository: Repository) -> None:
    (first, metadata), (second, other) = repository.worker(), repository.worker()
    for _ in range(6):
        repository.clock.time += 6 * 3600
        renewal.renew(repository.opened.catalog, metadata, first, repository.clock)
    opened = repository.opened
    assert Health(opened.catalog, opened.blobs, other, repository.clock).ready().problems == ()
    assert not renewal.renew(repository.opened.catalog, other, second, repository.clock)


class _Unannounced:
    """As on another machine."""

    def announced(self) -> int:
        return 0

    def announce(self, number: int) -> None:
        pass


def test_nobody_waits_while_a_slow_catalog_is_asked_for_what_is_newest(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, (publisher, _) = repository.opened, repository.worker()
    metadata = Metadata(opened.catalog, backends.changes(opened.settings), _Unannounced())
    metadata.refresh()
    before = metadata.current
    publisher.submit(adding("a")).result(10)
    read, asked, go_on = opened.catalog.read, threading.Event(), threading.Event()

    @contextmanager
    def slow() -> Iterator[Transaction]:
        asked.set()
        assert go_on.wait(10)
        with read() as tx:
            yield tx

    monkeypatch.setattr(opened.catalog, "read", slow)
    while metadata.is_fresh():
        time.sleep(0.01)
    first = threading.Thread(target=metadata.refresh)
    first.start()
    assert asked.wait(10)
    time.sleep(2 * LOOK_SECONDS)
    assert metadata.is_fresh() and metadata.current is before
    go_on.set()
    first.join()
    assert metadata.is_fresh() and metadata.number == before.number + 1


class _Untold:
    """As where a notification is late."""

    def version(self) -> int:
        return 1


def test_an_announced_release_is_served_though_nothing_else_told_of_it(repository: Repository) -> None:
    opened, (publisher, _) = repository.opened, repository.worker()
    metadata = Metadata(opened.catalog, _Untold(), opened.views)
    metadata.refresh()
    before = metadata.number
    publisher.submit(adding("a")).result(10)
    assert not metadata.is_fresh()
    metadata.refresh()
    assert metadata.is_fresh() and metadata.number == before + 1


def test_the_publisher_outlives_a_failure_after_the_commit(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher, metadata = repository.worker()
    with monkeypatch.context() as patched:
        patched.setattr(metadata, "install", _break)
        assert isinstance(publisher.submit(adding("a")).exception(10), Unavailable)
    publisher.submit(adding("b")).result(10)
    assert listed(metadata) == {"a-1", "b-1"}


def _break(_release: object) -> None:
    raise OSError("out of file descriptors")


def test_a_disk_without_space_for_a_release_is_not_ready(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, metadata = repository.worker()
    opened = repository.opened
    monkeypatch.setattr(opened.blobs, "free_bytes", lambda: 1000)
    (problem,) = Health(opened.catalog, opened.blobs, metadata, repository.clock).ready().problems
    assert "disk" in problem
