"""Refreshing external package sources: fetch, judge, take over.

No transaction is open while something is fetched. A source is fetched by one at a time on a machine,
however many ask: whoever waited takes the outcome of the one it waited for. On any refusal the copy from
before stays, and the reason is kept beside the source.
"""

import json
import logging
import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime

from otarium.domain import errors
from otarium.domain.access import Actor, Scope
from otarium.domain.delegating import leaves_tuf_between
from otarium.domain.delegation import Accepted, accept
from otarium.domain.errors import Conflict, Refusal, SourceExpired, SourceRefused, SourceUnreadable, TooLarge
from otarium.domain.names import SourceName
from otarium.domain.packages import timestamp
from otarium.domain.roles import TARGETS, Dialect
from otarium.domain.sources import Problem, Source, same_origin
from otarium.services.metadata import Metadata
from otarium.services.ports import Catalog, Clock, Transaction
from otarium.services.ports_sources import Fetched, FetchRequest, SourceFetcher, SourceLocks, Vault
from otarium.services.publishing import Outcome, Publisher
from otarium.services.sources import Sources, existing, renewal, retired

log = logging.getLogger(__name__)

_KEPT: list[type[Refusal]] = [*SourceRefused.__subclasses__(), TooLarge]
_REFUSALS = {kind.code: kind for kind in _KEPT}
"""What is kept beside a source."""


@dataclass(frozen=True, slots=True)
class _Got:
    uri: str
    fetched: Fetched
    accepted: Accepted

    def is_new(self, source: Source) -> bool:
        """Whether the bytes are others than those that are served already."""
        file = self.accepted.file
        live = source.live(file.dialect)
        return live is None or live.vouched or live.sha256 != file.sha256


@dataclass(slots=True, eq=False)
class _Run:
    """One fetch under way; `asked` once somebody waits for it, not the schedule alone."""

    name: SourceName
    asked: bool
    answer: "Future[Source]" = field(default_factory=Future)


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
        self._fetcher = fetcher
        self._locks = locks
        self._vault = vault
        self._clock = clock
        self._jitter = jitter
        self._running: dict[SourceName, _Run] = {}
        self._lock = threading.Lock()

    def refresh(self, actor: Actor, name: SourceName) -> "Future[Source]":
        """Fetch now. The future holds the source, or raises SourceNotFound or SourceRefused."""
        actor.require(Scope.WRITE)
        return self._start(name, asked=True)

    def refresh_due(self) -> None:
        """Start what is due by schedule; does not wait for it."""
        now = self._clock.now()
        with self._catalog.read() as tx:
            due = [
                source.name for source in tx.sources.every() if source.active and source.next_refresh <= now
            ]
        for name in due:
            self._start(name, asked=False)

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
        if isinstance(ended, Exception):
            run.answer.set_exception(ended)
        else:
            run.answer.set_result(ended)

    def _end(self, run: _Run) -> None:
        """Whoever asks from now on starts another one."""
        if self._running.get(run.name) is run:
            del self._running[run.name]

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
                got = self._fetch(source)
                return self._publisher.submit(lambda tx, now: self._take_over(tx, now, source, got)).result()
            except (SourceRefused, TooLarge) as refusal:
                self._record(name, refusal)
                raise
            except Exception as error:
                if not isinstance(error, Refusal):
                    self._record(name, SourceUnreadable(f"What {name} sent cannot be judged; see the log."))
                raise

    def _read(self, name: SourceName) -> Source:
        with self._catalog.read() as tx:
            return existing(tx, name)

    def _fetch(self, source: Source) -> list[_Got]:
        """What is new at the publisher. Raises SourceRefused."""
        with self._catalog.read() as tx:
            sealed = tx.sources.headers(source.name)
        headers = json.loads(self._vault.open(f"headers:{source.name}", sealed)) if sealed else {}
        got: list[_Got] = []
        # The list whose packages are shown comes last: a live publisher may add some in between, and what
        # clients of /tuf are told of must be known here.
        for uri in filter(None, (source.fetching.tuf_uri, source.fetching.uri)):
            fetched = self._fetch_one(source, uri, headers if same_origin(uri, source.fetching.uri) else {})
            if fetched is not None:
                got.append(_Got(uri, fetched, self._judged(source, fetched)))
        dialects = [one.accepted.file.dialect for one in got]
        if len(set(dialects)) != len(dialects):
            raise SourceUnreadable(f"Both lists of {source.name} are in the dialect of /{dialects[0]}.")
        expires, new = source.expires, any(one.is_new(source) for one in got)
        if not new and expires is not None and expires <= self._clock.now():
            raise SourceExpired(f"{source.name} expired at {timestamp(expires)}, and there is nothing newer.")
        return got

    def _judged(self, source: Source, fetched: Fetched) -> Accepted:
        # A source that was just removed and added again begins in the next second.
        now = max(self._clock.now(), source.added_at)
        modified_at = _modified_at(fetched.last_modified, now)
        return accept(fetched.raw, source.delegation, source.files, now, modified_at, source.replaced)

    def _fetch_one(self, source: Source, uri: str, headers: dict[str, str]) -> Fetched | None:
        with self._catalog.read() as tx:
            etag, last_modified = tx.sources.validators(source.name, uri)
        fetching = source.fetching
        if source.published is None:
            etag = last_modified = None
        request = FetchRequest(uri, headers, fetching.insecure, fetching.redirects, etag, last_modified)
        return self._fetcher.fetch(request)

    def _take_over(self, tx: Transaction, now: int, judged: Source, got: Sequence[_Got]) -> Outcome[Source]:
        """`judged` is the source as it was when its files were checked."""
        name = judged.name
        before = existing(tx, name)
        if _judged_by(before) != _judged_by(judged):
            raise Conflict(f"The source {name} was changed while it was fetched; refresh it again.")
        new = [one for one in got if one.is_new(before)]
        source = replace(
            before,
            attempts=before.attempts + 1,
            failures=0,
            problem=None,
            last_fetched=now,
            files={**before.files, **{one.accepted.file.dialect: one.accepted.file for one in new}},
        )
        for one in got:
            tx.sources.set_validators(name, one.uri, one.fetched.etag, one.fetched.last_modified)
        for one in new:
            tx.sources.take_over(one.accepted)
        if len(new) == 1 and source.fetching.tuf_uri is None:
            given = new[0].accepted.file.dialect
            source = retired(tx, source, Dialect.TUF if given is Dialect.UPTANE else Dialect.UPTANE)
        for one in new:
            if one.accepted.file == source.published:
                tx.sources.list_packages(one.accepted)
                if source.fetching.vouch:
                    source = self._sources.vouch(tx, source, one.accepted, now)
            detail = f"{one.accepted.file.dialect} version {one.accepted.file.version}"
            tx.journal.record(now, "otarium", "source.refresh", name, detail)
        source = replace(source, next_refresh=source.next_after(now, 0, self._jitter()))
        tx.sources.put(source)
        return Outcome(source, signs=renewal(before, source, now))

    def _record(self, name: SourceName, refusal: Refusal) -> None:
        """Keep the reason beside the source."""
        log.warning("source %s: %s (%s)", name, refusal.message, refusal.code)
        with self._catalog.write() as tx:
            source, now = existing(tx, name), self._clock.now()
            same = source.problem is not None and source.problem.code == refusal.code
            since = source.problem.since if source.problem and same else now
            failures = source.failures + 1
            tx.sources.put(
                replace(
                    source,
                    attempts=source.attempts + 1,
                    failures=failures,
                    problem=Problem(refusal.code, refusal.message, since),
                    next_refresh=source.next_after(now, failures, self._jitter()),
                )
            )


def _judged_by(source: Source) -> tuple[object, ...]:
    """What of a source decides whether a file is taken over."""
    fetching = source.fetching
    return source.delegation, source.files, fetching.uri, fetching.tuf_uri


def _outcome_of_another(source: Source) -> Source:
    if source.problem is not None:
        raise _REFUSALS.get(source.problem.code, errors.SourceUnreachable)(source.problem.message)
    return source


def _modified_at(last_modified: str | None, now: int) -> int:
    """What the publisher's server says; now where it says nothing of use."""
    try:
        return min(now, max(0, int(parsedate_to_datetime(last_modified or "").timestamp())))
    except (ValueError, TypeError, OverflowError):
        return now


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
