"""Background work that one process of all does at a time.

What a job does is decided inside the writer's transaction anyway, or behind a lock of its own, so two
holders at once would do no harm; a lease saves the others the work, and a dead or frozen holder's lease
passes on by itself.
"""

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")

LEASE_SECONDS = 30.0
"""A holder that is not heard of for so long is none any more."""
ASK_SECONDS = 5.0
"""How late a job may be that is done more seldom."""


class Leases(Protocol):
    def holds(self, name: str) -> bool:
        """Whether this process is the one; asking takes the lease where it is free, and renews it.
        Raises Unavailable."""
        ...

    def turn(self, name: str, seconds: float) -> bool:
        """Whether it is to be done now, by this process: nobody had a turn within the last `seconds`.
        Remembered beyond the life of processes. Raises Unavailable."""
        ...

    def give_up(self, name: str) -> None:
        """Let another process have its lease, or its turn."""
        ...


def leased(leases: Leases, name: str, every: float, job: Callable[[], T]) -> Callable[[], T | None]:
    """The job, run only where it is this process's to do; ask at least each `ASK_SECONDS`.

    One that is done more often than a lease lasts stays with its holder. Of others is remembered when they
    were done last, whoever did it and whenever it was started; a process that dies at one costs an interval
    at most. Whoever fails lets others try, and waits for an interval itself."""
    rests_until = 0.0

    def is_ours() -> bool:
        if time.monotonic() < rests_until:
            return False
        return leases.holds(name) if every < LEASE_SECONDS else leases.turn(name, every)

    def run() -> T | None:
        nonlocal rests_until
        if not is_ours():
            return None
        try:
            return job()
        except Exception:
            rests_until = time.monotonic() + every
            leases.give_up(name)
            raise

    return run
