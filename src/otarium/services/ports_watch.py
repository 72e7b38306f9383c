"""The ports of those who watch the work: logs, metrics and traces. Nothing depends on what they do."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import Context, ContextVar
from typing import Protocol

Said = str | int | float | bool
Job = Callable[[], object]

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request that the running code works for; every log line tells it."""


class Span(Protocol):
    """A piece of work with a beginning and an end."""

    def name(self, name: str) -> None: ...
    def note(self, **said: Said) -> None:
        """Attributes; `__` in a name is a dot."""
        ...

    def failed(self, reason: str) -> None: ...
    def joined(self, context: Context) -> None:
        """Another request that this work is done for."""
        ...


class Traces(Protocol):
    """Spans. Each is the parent of those that begin inside of it."""

    def request(self, headers: Mapping[str, str]) -> AbstractContextManager[Span]:
        """Of one HTTP request; `headers` may name a parent elsewhere (W3C Trace Context)."""
        ...

    def root(self, name: str, caller: Context | None = None) -> AbstractContextManager[Span]:
        """Of work that may stand alone; `caller` is what asked for it, on another thread."""
        ...

    def part(self, name: str, **said: Said) -> AbstractContextManager[Span]:
        """Inside of another span; where there is none, nothing."""
        ...

    def close(self) -> None:
        """Send what is waiting."""
        ...


class Meters(Protocol):
    """Numbers. Each call costs a microsecond or so."""

    def published(self, seconds: float, changes: int, waiting: int, failed: bool) -> None:
        """One round of the publisher; `waiting` changes are left in its queue."""
        ...

    def job_ended(self, job: str, at: int, failed: bool) -> None:
        """One run of background work."""
        ...


Callers = Sequence[tuple[Context, bool]]
"""All changes of a round: the context that each was submitted in, and whether it could not be published (a
refusal is an answer like any other)."""


class Round(Protocol):
    """One round of the publisher, as it tells of it."""

    def answered(self, callers: Callers, waiting: int, release: int) -> None:
        """How it ended: `waiting` changes are left in the queue, `release` is the newest one."""
        ...


class Watch(Protocol):
    """What the publisher tells."""

    def round(self, first: Context) -> AbstractContextManager[Round]:
        """Around one round; `first` is the context of the change that began it."""
        ...


class Unwatched:
    """Nobody watches."""

    @contextmanager
    def round(self, first: Context) -> Iterator[Round]:
        yield self

    def answered(self, callers: Callers, waiting: int, release: int) -> None:
        pass


class NoSpan:
    def name(self, name: str) -> None:
        pass

    def note(self, **said: Said) -> None:
        pass

    def failed(self, reason: str) -> None:
        pass

    def joined(self, context: Context) -> None:
        pass

    def __enter__(self) -> Span:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class NoTraces:
    """Traces are off: one object that does nothing, and no import."""

    _span = NoSpan()

    def request(self, headers: Mapping[str, str]) -> AbstractContextManager[Span]:
        return self._span

    def root(self, name: str, caller: Context | None = None) -> AbstractContextManager[Span]:
        return self._span

    def part(self, name: str, **said: Said) -> AbstractContextManager[Span]:
        return self._span

    def close(self) -> None:
        pass
