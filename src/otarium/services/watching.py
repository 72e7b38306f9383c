"""Watching the publisher and background work: each round and run is measured, traced, and logged with the id
of the request that it is for."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context

from otarium.services.ports import Clock
from otarium.services.ports_watch import Callers, Job, Meters, Round, Span, Traces, request_id

log = logging.getLogger(__name__)


class Watching:
    """A Watch over meters and traces."""

    def __init__(self, meters: Meters, traces: Traces, clock: Clock) -> None:
        self._meters = meters
        self._traces = traces
        self._clock = clock

    @contextmanager
    def round(self, first: Context) -> Iterator[Round]:
        token = request_id.set(first.get(request_id))
        try:
            with self._traces.root("publish", first) as span:
                yield _Round(self._meters, span, first)
        finally:
            request_id.reset(token)

    def job(self, name: str, job: Job) -> Job:
        """The same job, counted. Its spans begin when it publishes or fetches something."""

        def watched() -> object:
            failed = True
            try:
                result = job()
                failed = False
                return result
            finally:
                self._meters.job_ended(name, self._clock.now(), failed)

        return watched


class _Round:
    def __init__(self, meters: Meters, span: Span, first: Context) -> None:
        self._meters = meters
        self._span = span
        self._first = first
        self._started = time.monotonic()

    def answered(self, callers: Callers, waiting: int, release: int) -> None:
        try:
            self._tell(callers, waiting, release)
        except Exception:
            # The publisher's thread would end with it.
            log.exception("a round of the publisher was not measured")

    def _tell(self, callers: Callers, waiting: int, release: int) -> None:
        failed = any(unpublished for _, unpublished in callers)
        self._meters.published(time.monotonic() - self._started, len(callers), waiting, failed)
        for caller, _ in callers:
            if caller is not self._first:
                self._span.joined(caller)
        self._span.note(otarium__changes=len(callers), otarium__release=release)
        if failed:
            self._span.failed("not published")
