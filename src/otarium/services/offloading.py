"""When the copy for devices is looked after: at once when something was published, again after a failure."""

from collections.abc import Callable
from dataclasses import dataclass

from otarium.domain.errors import Refusal
from otarium.services.metadata import Metadata
from otarium.services.offload import Offload
from otarium.services.ports import Clock

LOOK_SECONDS = 0.02
RETRY_SECONDS = 5
TRUST_SECONDS = 60
"""How long the copy is taken to be as it was left."""
SWEEP_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class OffloadHealth:
    """`release` is what the copy shows, as far as is known; `problem` is why that is not the newest."""

    release: int
    seconds_behind: int
    problem: str | None


class Offloading:
    """A job that asks often and works rarely. `push` and `sweep` do nothing, and answer None, where another
    process is the one to do it."""

    def __init__(
        self,
        offload: Offload,
        metadata: Metadata,
        clock: Clock,
        push: Callable[[], object],
        sweep: Callable[[], object],
    ) -> None:
        self._offload = offload
        self._metadata = metadata
        self._clock = clock
        self._push = push
        self._sweep = sweep
        self._release = 0
        self._behind_since: int | None = None
        self._problem: str | None = None
        self._next_try = 0
        self._next_look = 0
        self._next_sweep = 0

    def health(self) -> OffloadHealth:
        """Safe for any thread."""
        since = self._behind_since
        behind = 0 if since is None else self._clock.now() - since
        return OffloadHealth(self._release, behind, self._problem)

    def __call__(self) -> None:
        now = self._clock.now()
        if now < self._next_try:
            return
        try:
            self._look(now)
        except Exception as error:
            self._next_try = now + RETRY_SECONDS
            self._next_look = now
            self._problem = error.message if isinstance(error, Refusal) else "It failed; the log says how."
            raise

    def _look(self, now: int) -> None:
        if not self._metadata.is_fresh():
            self._metadata.refresh()
        number = self._metadata.number
        if self._release >= number and now < self._next_look:
            if now >= self._next_sweep and not self._sweep():
                self._next_sweep = now + SWEEP_SECONDS
            return
        if self._release < number and self._behind_since is None:
            self._behind_since = now
        pushed = self._push()
        self._release = pushed if isinstance(pushed, int) else self._offload.number()
        self._next_look = now + TRUST_SECONDS
        if self._release >= number:
            self._behind_since = self._problem = None
        else:
            self._next_try = now + 1
