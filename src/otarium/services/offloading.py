"""When the copy for devices is brought up to date, and how that fares.

At once when a release is out, then at most once in a second: whoever fetches plain names one after another
fails where they change in between. A target that fails is asked less and less often.
"""

import time
from dataclasses import dataclass

from otarium.domain.errors import Refusal
from otarium.services.leases import Leases
from otarium.services.metadata import Metadata
from otarium.services.offload import Offload
from otarium.services.ports import Clock
from otarium.services.ports_watch import Job

LEASE = "offload"
STEP_SECONDS = 0.05
DISTANCE_SECONDS = 0.8
LOOK_SECONDS = 60.0
"""How long the copy is taken to be as it was left."""
LONGEST_PAUSE = 60.0
PORTION_SECONDS = 0.2
SWEEP_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class OffloadHealth:
    """`release` is what the copy shows, `behind` for how many seconds it has not been the newest; `problem`
    is why the last attempt of this process failed."""

    release: int
    behind: int
    problem: str | None


class Offloading:
    """`step` is for one thread, every `STEP_SECONDS`; `health` for any."""

    def __init__(
        self, offload: Offload, metadata: Metadata, leases: Leases, clock: Clock, push: Job, sweep: Job
    ) -> None:
        """`push` and `sweep` are those of `offload`, watched."""
        self._offload = offload
        self._metadata = metadata
        self._leases = leases
        self._clock = clock
        self._push = push
        self._sweep = sweep
        self._shown = 0
        self._behind_since: int | None = None
        self._problem: str | None = None
        self._failures = 0
        self._next = self._next_look = 0.0
        self._next_portion = time.monotonic() + LOOK_SECONDS

    def health(self) -> OffloadHealth:
        since = self._behind_since
        return OffloadHealth(self._shown, 0 if since is None else self._clock.now() - since, self._problem)

    def step(self) -> None:
        """Costs nothing while there is nothing to do. Raises what went wrong."""
        now = time.monotonic()
        if now < self._next:
            return
        if not self._metadata.is_fresh():
            self._metadata.refresh()
        is_new = self._shown != self._metadata.current.number
        if not is_new and now < min(self._next_look, self._next_portion):
            return
        if is_new and self._behind_since is None:
            self._behind_since = self._clock.now()
        try:
            if is_new or now >= self._next_look:
                self._next = now + DISTANCE_SECONDS
                self._catch_up()
            else:
                self._sweep_portion()
        except Exception as error:
            self._problem = error.message if isinstance(error, Refusal) else type(error).__name__
            self._next = time.monotonic() + min(2.0**self._failures, LONGEST_PAUSE)
            self._failures = min(self._failures + 1, 10)
            self._leases.give_up(LEASE)
            raise
        self._problem, self._failures = None, 0

    def _catch_up(self) -> None:
        """Who has no turn looks what the others did."""
        if self._leases.holds(LEASE):
            self._push()
        self._shown = self._offload.shown()
        self._next_look = time.monotonic() + LOOK_SECONDS
        if self._shown == self._metadata.current.number:
            self._behind_since = None

    def _sweep_portion(self) -> None:
        more = self._leases.holds(LEASE) and self._sweep()
        self._next_portion = time.monotonic() + (PORTION_SECONDS if more else SWEEP_SECONDS)
