"""Refreshing external package sources: fetch, judge, take over.

No transaction is open while something is fetched. A source is fetched by one at a time on a machine,
however many ask: whoever waited takes the outcome of the one it waited for. On any refusal the copy from
before stays, and the reason is kept beside the source. Of two lists a good one is taken over whatever the
other one is.
"""

import logging
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from otarium.domain import errors
from otarium.domain.access import Actor, Scope
from otarium.domain.delegating import leaves_tuf_between
from otarium.domain.errors import Conflict, Refusal, SourceNotFound, SourceRefused, SourceUnreadable, TooLarge
from otarium.domain.names import SourceName
from otarium.domain.roles import TARGETS, Dialect
from otarium.domain.sources import Source
from otarium.services.metadata import Metadata
from otarium.services.ports import Catalog, Clock, Transaction
from otarium.services.ports_sources import SourceFetcher, SourceLocks, Vault
from otarium.services.publishing import Outcome, Publisher
from otarium.services.source_lists import Found, Lists
from otarium.services.sources import Sources, existing, list_packages, renewal, retired

log = logging.getLogger(__name__)

_KEPT: list[type[Refusal]] = [*SourceRefused.__subclasses__(), TooLarge]
_REFUSALS = {kind.code: kind for kind in _KEPT}
"""What is kept beside a source."""
_LONGEST_PAUSE = 3600


@dataclass(slots=True, eq=False)
class _Run:
    """One fetch under way; `asked` once somebody waits for it, not the schedule alone."""

    name: SourceName
    asked: bool
    answer: "Future[Source]" = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class _Failure:
    """On our own side, so that nothing could be written down: how often in a row, and when last."""

    times: int
    at: int


class Refreshing:
    """Owns the threads that fetch."""

    def __init__(
        self,
        catalog: Catalog,
        publisher: Publisher,
        sources: Sources,
        fetcher: SourceFetcher,
        locks: SourceLocks,
        vault: Vault,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._catalog = catalog
        self._publisher = publisher
        self._sources = sources
        self._lists = Lists(catalog, fetcher, vault, clock)
        self._locks = locks
        self._clock = clock
        self._jitter = jitter
        self._running: dict[SourceName, _Run] = {}
        self._failed: dict[SourceName, _Failure] = {}
        self._lock = threading.Lock()

    def refresh(self, actor: Actor, name: SourceName) -> "Future[Source]":
        """Fetch now. The future holds the source, or raises SourceNotFound or SourceRefused."""
        actor.require(Scope.WRITE)
        return self._start(name, asked=True)

    def refresh_due(self) -> None:
        """Start what is due by schedule; does not wait for it."""
        now = self._clock.now()
        with self._catalog.read() as tx:
            due = [source.name for source in tx.sources.every() if self._is_due(source, now)]
        for name in due:
            self._start(name, asked=False)

    def _is_due(self, source: Source, now: int) -> bool:
        """What was fetched in vain is not fetched again at once, though the catalog knows nothing of it."""
        failed = self._failed.get(source.name)
        if failed is not None:
            again = source.next_after(failed.at, failed.times, 0.5)
            if now < min(again, failed.at + _LONGEST_PAUSE):
                return False
        return source.active and source.next_refresh <= now

    def _start(self, name: SourceName, *, asked: bool) -> "Future[Source]":
        """One thread for each source that is being fetched: a silent publisher keeps nobody else waiting,
        and nobody waits for it when the server stops."""
        with self._lock:
            run = self._running.get(name)
            if run is not None:
                run.asked = run.asked or asked
                return run.answer
            run = self._running[name] = _Run(name, asked)
        threading.Thread(target=self._run, args=(run,), name="refresh", daemon=True).start()
        return run.answer

    def _run(self, run: _Run) -> None:
        ended: Source | Exception
        try:
            ended = self._refresh(run)
        except Refusal as refusal:
            # Its frames hold the whole file; whoever asked needs the reason alone.
            ended = refusal.with_traceback(None)
            log.info("source %s is not refreshed: %s", run.name, refusal)
        except Exception as error:
            ended = error
            log.exception("refreshing the source %s failed", run.name)
        with self._lock:
            self._end(run)
            self._remember(run.name, ended)
        if isinstance(ended, Exception):
            run.answer.set_exception(ended)
        else:
            run.answer.set_result(ended)

    def _end(self, run: _Run) -> None:
        """Whoever asks from now on starts another one."""
        if self._running.get(run.name) is run:
            del self._running[run.name]

    def _remember(self, name: SourceName, ended: Source | Exception) -> None:
        """A refused list is in the catalog; what else goes wrong here may be all that cannot be written."""
        if isinstance(ended, Exception) and not isinstance(ended, SourceRefused | Conflict | SourceNotFound):
            before = self._failed.get(name)
            self._failed[name] = _Failure(before.times + 1 if before else 1, self._clock.now())
        else:
            self._failed.pop(name, None)

    def _has_nothing_to_do(self, run: _Run, source: Source) -> bool:
        """Whether a scheduled run came too late. Then it is over at once: nobody may join it who asks for
        a fetch."""
        with self._lock:
            idle = not run.asked and source.next_refresh > self._clock.now()
            if idle:
                self._end(run)
            return idle

    def _refresh(self, run: _Run) -> Source:
        name = run.name
        attempts = self._read(name).attempts
        with self._locks.held(name):
            source = self._read(name)
            if not source.active:
                raise Conflict(f"The source {name} is disabled; enable it to refresh it.")
            if source.attempts != attempts:
                return _outcome_of_another(source)
            if self._has_nothing_to_do(run, source):
                return source
            try:
                found = self._lists.fetch(source)
                taken = self._publisher.submit(lambda tx, now: self._take_over(tx, now, source, found))
                source = taken.result()
            except (SourceRefused, TooLarge) as refusal:
                self._record(name, refusal)
                raise
            except Exception as error:
                if not isinstance(error, Refusal):
                    self._record(name, SourceUnreadable(f"What {name} sent cannot be judged; see the log."))
                raise
        if found.refusal is not None:
            _warn(name, found.refusal)
            raise found.refusal
        return source

    def _read(self, name: SourceName) -> Source:
        with self._catalog.read() as tx:
            return existing(tx, name)

    def _take_over(self, tx: Transaction, now: int, judged: Source, found: Found) -> Outcome[Source]:
        """`judged` is the source as it was when its files were checked."""
        name = judged.name
        before = existing(tx, name)
        if _judged_by(before) != _judged_by(judged):
            raise Conflict(f"The source {name} was changed while it was fetched; refresh it again.")
        new = [one for one in found.got if one.is_new(before)]
        files = {**before.files, **{one.accepted.file.dialect: one.accepted.file for one in new}}
        source = replace(before, files=files)
        if source.fetching.uri in found.reached:
            source = replace(source, last_fetched=now)
        for one in found.got:
            tx.sources.set_validators(name, one.uri, one.fetched.etag, one.fetched.last_modified)
        for one in new:
            tx.sources.take_over(one.accepted)
        if len(new) == 1 and source.fetching.tuf_uri is None:
            given = new[0].accepted.file.dialect
            source = retired(tx, source, Dialect.TUF if given is Dialect.UPTANE else Dialect.UPTANE)
        for one in new:
            if one.accepted.file == source.published:
                list_packages(tx, one.accepted)
                if source.fetching.vouches:
                    source = self._sources.vouch(tx, source, one.accepted, now)
            detail = f"{one.accepted.file.dialect} version {one.accepted.file.version}"
            tx.journal.record(now, "otarium", "source.refresh", name, detail)
        source = self._ended(tx, source, found.refusal, now)
        return Outcome(source, signs=renewal(before, source, now))

    def _record(self, name: SourceName, refusal: Refusal) -> None:
        """Keep the reason beside the source."""
        _warn(name, refusal)
        with self._catalog.write() as tx:
            self._ended(tx, existing(tx, name), refusal, self._clock.now())

    def _ended(self, tx: Transaction, source: Source, refusal: Refusal | None, now: int) -> Source:
        """What an attempt leaves in the row of its source, and of a new reason in the journal."""
        ended = source.after(refusal, now, self._jitter())
        tx.sources.put(ended)
        if refusal is not None and (source.problem is None or source.problem.code != refusal.code):
            tx.journal.record(now, "otarium", "source.refused", source.name, refusal.code)
        return ended


def _warn(name: SourceName, refusal: Refusal) -> None:
    log.warning("source %s: %s (%s)", name, refusal.message, refusal.code)


def _judged_by(source: Source) -> tuple[object, ...]:
    """What of a source decides whether a file is taken over."""
    fetching = source.fetching
    return source.delegation, source.files, fetching.uri, fetching.tuf_uri


def _outcome_of_another(source: Source) -> Source:
    if source.problem is not None:
        raise _REFUSALS.get(source.problem.code, errors.SourceUnreachable)(source.problem.message)
    return source


def leave_tuf(catalog: Catalog, metadata: Metadata, publisher: Publisher, clock: Clock) -> bool:
    """Sign targets again once a source comes too near to its expiry for clients of /tuf."""

    def is_due(tx: Transaction, now: int) -> bool:
        signed_at = metadata.current.targets.signed_at
        return leaves_tuf_between(tx.sources.every(), signed_at, now)

    with catalog.read() as tx:
        if not is_due(tx, clock.now()):
            return False

    def change(tx: Transaction, now: int) -> Outcome[bool]:
        due = is_due(tx, now)
        return Outcome(due, signs=frozenset({TARGETS}) if due else frozenset())

    return publisher.submit(change).result()
