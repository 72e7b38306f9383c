"""The publisher: every change of the repository, in one thread, as one release per transaction.

Waiting changes are applied together, each in a savepoint with an outcome of its own. Whatever can refuse
a single change happens in `Change.apply`; then one release is built and signed over all of them, saved
in the same transaction, committed, shown to devices, and only then is anybody answered.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from otarium.domain import delegating
from otarium.domain import release as releases
from otarium.domain.errors import Broken, Refusal, Unavailable
from otarium.domain.names import PackageId
from otarium.domain.packages import Entry
from otarium.domain.release import Lifetimes, Release
from otarium.domain.roles import TARGETS
from otarium.domain.shelves import Shelf
from otarium.services.metadata import Metadata, Retention
from otarium.services.ports import Catalog, Clock, Signer, Transaction

log = logging.getLogger(__name__)

BATCH = 64
QUEUED = 1024
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What a change did: its answer, the signed entries it moved, the roles it wants signed again."""

    value: T
    entries: Mapping[tuple[str, PackageId], Entry | None] = field(default_factory=dict)
    renew: frozenset[str] = frozenset()


Change = Callable[[Transaction, int], Outcome[T]]
"""(transaction, now) -> Outcome. Raises Refusal, which undoes this change alone."""


@dataclass(slots=True)
class _Waiting:
    change: Change[Any]
    future: "Future[Any]"


class Publisher:
    """Owns the release. `submit` may be called from any thread."""

    def __init__(
        self,
        catalog: Catalog,
        metadata: Metadata,
        signer: Signer,
        clock: Clock,
        lifetimes: Lifetimes,
        retention: Retention,
    ) -> None:
        self._catalog = catalog
        self._metadata = metadata
        self._signer = signer
        self._clock = clock
        self._lifetimes = lifetimes
        self._retention = retention
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(QUEUED)
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._shelves: dict[str, Shelf] = {}
        self._revision = 0
        self._expected = 1
        self._seconds = 0.0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Publish what is waiting, then end."""
        self._queue.put(None)
        self._thread.join()

    def submit(self, change: Change[T]) -> "Future[T]":
        """The future holds the answer after the commit, or the Refusal. Raises Unavailable when full."""
        future: Future[T] = Future()
        try:
            self._queue.put_nowait(_Waiting(change, future))
        except queue.Full:
            raise Unavailable("Too many changes are waiting; try again in a moment.") from None
        return future

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            self._gather(batch)
            started = time.monotonic()
            try:
                self._publish(batch, fill=True)
            except Exception:
                log.exception("publishing failed outside its transaction")
                self._forget()
                for waiting in batch:
                    if not waiting.future.done():
                        waiting.future.set_exception(_unpublished())
            self._expected = len(batch) + self._queue.qsize()
            self._seconds = time.monotonic() - started

    def _gather(self, batch: list[_Waiting]) -> None:
        """Group commit: wait for as many changes as came at once last time, since one release for all costs
        little more than one for each. Never when they came one at a time, and never for longer than half
        of what the last release took."""
        until = time.monotonic() + self._seconds / 2
        while len(batch) < min(self._expected, BATCH) and (left := until - time.monotonic()) > 0:
            try:
                waiting = self._queue.get(timeout=left)
            except queue.Empty:
                return
            if waiting is None:
                self._queue.put(None)
                return
            batch.append(waiting)

    def _take_waiting(self, batch: list[_Waiting]) -> None:
        while len(batch) < BATCH:
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                return
            if waiting is None:
                self._queue.put(None)
                return
            batch.append(waiting)

    def _publish(self, batch: list[_Waiting], *, fill: bool = False) -> None:
        """One transaction; every future of the batch is resolved when this returns."""
        try:
            with self._catalog.write() as tx:
                if fill:
                    self._take_waiting(batch)
                answers, release = self._apply_and_build(tx, [waiting.change for waiting in batch])
        except Exception as error:
            self._forget()
            if len(batch) > 1 and not isinstance(error, Refusal):
                for waiting in batch:
                    self._publish([waiting])
                return
            if not isinstance(error, Refusal):
                log.exception("publishing failed")
                error = _unpublished()
            answers, release = [error] * len(batch), None
        if release is not None:
            self._metadata.install(release)
        for waiting, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Outcome):
                waiting.future.set_result(answer.value)
            else:
                waiting.future.set_exception(answer)

    def _apply_and_build(
        self, tx: Transaction, changes: Sequence[Change[Any]]
    ) -> tuple[list[Outcome[Any] | Exception], Release | None]:
        now = self._clock.now()
        shelves = self._synchronise(tx)
        current = self._metadata.synchronise(tx)
        answers: list[Outcome[Any] | Exception] = []
        for change in changes:
            try:
                with tx.savepoint():
                    answers.append(change(tx, now))
            except Refusal as refusal:
                answers.append(refusal)
        outcomes = [answer for answer in answers if isinstance(answer, Outcome)]
        release = self._build(tx, current, shelves, outcomes, now)
        if release is not None:
            tx.roles.save(release, current)
            tx.roles.collect(now - self._retention.seconds, self._retention.files, self._retention.bytes)
        return answers, release

    def _build(
        self,
        tx: Transaction,
        current: Release | None,
        shelves: dict[str, Shelf],
        outcomes: Sequence[Outcome[Any]],
        now: int,
    ) -> Release | None:
        """The next release, or None when no signed byte changes."""
        moved: dict[str, dict[PackageId, Entry | None]] = {}
        for outcome in outcomes:
            for (role, package_id), entry in outcome.entries.items():
                moved.setdefault(role, {})[package_id] = entry
        renew = frozenset[str]().union(*(outcome.renew for outcome in outcomes))
        if current is None:
            renew |= {TARGETS}
        if not moved and not renew:
            return None
        changed = {role: shelves[role].changed(entries) for role, entries in moved.items()}
        changed |= {role: shelf for role, shelf in shelves.items() if role in renew and role not in changed}
        release = self._sign(tx, current, changed, renew, now)
        self._shelves = shelves | changed
        self._revision = tx.packages.revision()
        return release

    def _sign(
        self,
        tx: Transaction,
        current: Release | None,
        changed: Mapping[str, Shelf],
        renew: frozenset[str],
        now: int,
    ) -> Release:
        keys, sign = self._signer.role_keys(), self._signer.sign
        if current is None:
            root = releases.first_root(keys, now, self._lifetimes, sign)
        elif "root" in renew:
            root = releases.next_root(current.root, keys, now, self._lifetimes, sign)
        else:
            root = current.root
        if current is not None and not changed and renew == {"timestamp"}:
            return releases.with_timestamp(current, now, self._lifetimes, sign)
        counters, others = tx.roles.counters(), delegating.others(tx.sources.every(), now)
        return releases.build(current, root, changed, counters, now, self._lifetimes, sign, others)

    def _synchronise(self, tx: Transaction) -> dict[str, Shelf]:
        """The shelves as they are in this transaction, whoever published last."""
        revision, changes = tx.packages.changes(self._revision)
        if revision < self._revision:
            raise Broken("the catalog is older than what was published from it")
        moved: dict[str, dict[PackageId, Entry | None]] = {} if self._shelves else {TARGETS: {}}
        for role, package_id, entry in changes:
            moved.setdefault(role, {})[package_id] = entry
        self._shelves = self._shelves | {
            role: self._shelves.get(role, Shelf(role)).changed(entries) for role, entries in moved.items()
        }
        self._revision = revision
        return self._shelves

    def _forget(self) -> None:
        """After a failure memory may be ahead of the catalog; read it again before the next release."""
        self._shelves, self._revision = {}, 0


def _unpublished() -> Unavailable:
    return Unavailable("The change could not be published; try again in a moment.")
