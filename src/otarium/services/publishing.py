"""The publisher: every change of the repository, in one thread, as one release per transaction.

Waiting changes are applied together, each with an outcome of its own. Whatever can refuse a single change
happens while it is applied; then one release is built and signed over all of them, saved
in the same transaction, committed, shown to devices, and only then is anybody answered. Where that fails
for all together, as with a targets.json that became too long, they are published one by one.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from otarium.domain import delegating
from otarium.domain import release as releases
from otarium.domain.errors import Refusal, Unavailable
from otarium.domain.feed import FEED, delegates, has_room
from otarium.domain.release import Delegated, Lifetimes, Release
from otarium.domain.roles import TARGETS
from otarium.domain.shelves import is_shelf
from otarium.services.metadata import Metadata, Retention
from otarium.services.ports import Catalog, Clock, Signer, Transaction
from otarium.services.ports_watch import Unwatched, Watch
from otarium.services.shelving import Shelving

log = logging.getLogger(__name__)

BATCH = 64
QUEUED = 1024
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What a change did: its answer, and the roles that have to be signed for it."""

    value: T
    signs: frozenset[str] = frozenset()


Change = Callable[[Transaction, int], Outcome[T]]
"""(transaction, now) -> Outcome. Raises Refusal, which undoes this change alone. May be asked twice, when
another one of the same transaction was refused."""


@dataclass(slots=True)
class _Waiting:
    change: Change[Any]
    future: "Future[Any]"
    context: Context
    """Of whoever submitted it, for those who watch."""

    @property
    def is_unpublished(self) -> bool:
        return isinstance(self.future.exception(), Unavailable)


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
        shelving: Shelving,
        watch: Watch | None = None,
    ) -> None:
        self._catalog = catalog
        self._metadata = metadata
        self._signer = signer
        self._clock = clock
        self._lifetimes = lifetimes
        self._retention = retention
        self._shelving = shelving
        self._watch = watch or Unwatched()
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
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
        if self._queue.qsize() >= QUEUED:
            raise Unavailable("Too many changes are waiting; try again in a moment.")
        future: Future[T] = Future()
        self._queue.put(_Waiting(change, future, copy_context()))
        return future

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            self._gather(batch)
            started = time.monotonic()
            with self._watch.round(first.context) as told:
                self._publish_whole(batch)
                callers = [(waiting.context, waiting.is_unpublished) for waiting in batch]
                told.answered(callers, self._queue.qsize(), self._metadata.number)
            self._expected = len(batch) + self._queue.qsize()
            self._seconds = time.monotonic() - started

    def _publish_whole(self, batch: list[_Waiting]) -> None:
        """Every future of the batch is resolved when this returns, whatever happens."""
        try:
            self._publish(batch, fill=True)
        except Exception:
            log.exception("publishing failed outside its transaction")
            for waiting in batch:
                if not waiting.future.done():
                    waiting.future.set_exception(_unpublished())

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
            if len(batch) > 1 and not isinstance(error, Unavailable):
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
        current = self._metadata.synchronise(tx)
        answers = _applied(tx, changes, now)
        signs = frozenset[str]() if current else frozenset({TARGETS})
        signs = signs.union(*(answer.signs for answer in answers if isinstance(answer, Outcome)))
        if not signs:
            return answers, None
        release = self._build(tx, current, signs, now)
        tx.roles.save(release, current, self._retention.files)
        tx.shelves.signed(release.signed_shelves)
        tx.roles.collect(now - self._retention.seconds, self._retention.bytes)
        return answers, release

    def _build(self, tx: Transaction, current: Release | None, signs: frozenset[str], now: int) -> Release:
        """The next release, with everything in `signs` signed anew."""
        keys, sign = self._signer.role_keys(), self._signer.sign
        if current is None:
            root = releases.first_root(keys, now, self._lifetimes, sign)
        elif "root" in signs:
            root = releases.next_root(current.root, keys, now, self._lifetimes, sign)
        else:
            root = current.root
        if current is not None and signs == {"timestamp"}:
            return releases.with_timestamp(current, now, self._lifetimes, sign)
        if current is not None and signs == {FEED}:
            entries, counters = tx.shelves.every(), tx.roles.counters()
            return releases.with_feed(current, entries, counters, now, self._lifetimes, sign)
        changed = {role: tx.shelves.entries(role) for role in signs if is_shelf(role)}
        shelves = self._shelving.delegations(tx, keys) if TARGETS in changed else None
        delegated = delegating.delegated(shelves, tx.sources.every(), now)
        if FEED in signs or (TARGETS in changed and _needs_feed(tx, current, delegated)):
            changed[FEED] = tx.shelves.every()
        counters = current.counters if current else tx.roles.counters()
        release = releases.build(current, root, changed, counters, now, self._lifetimes, sign, delegated)
        self._shelving.require_readable(release, current)
        return release


def _applied(tx: Transaction, changes: Sequence[Change[Any]], now: int) -> list[Outcome[Any] | Exception]:
    """One savepoint for all, as they are seldom refused; one for each where one was. Raises the Refusal of a
    change that is alone, which undoes the transaction."""
    if len(changes) == 1:
        return [changes[0](tx, now)]
    try:
        with tx.savepoint():
            return [change(tx, now) for change in changes]
    except Refusal:
        return [_attempted(tx, change, now) for change in changes]


def _attempted(tx: Transaction, change: Change[Any], now: int) -> Outcome[Any] | Exception:
    try:
        with tx.savepoint():
            return change(tx, now)
    except Refusal as refusal:
        return refusal


def _needs_feed(tx: Transaction, current: Release | None, delegated: Delegated) -> bool:
    """Whether targets.json was the feed up to now: whoever had it may not meet an older one."""
    was = current is not None and not delegates(current.targets)
    return was and any(one.roles for one in delegated.delegations.values()) and has_room(*tx.shelves.total())


def _unpublished() -> Unavailable:
    return Unavailable("The change could not be published; try again in a moment.")
