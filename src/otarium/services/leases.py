"""Background work that one process of all does at a time.

What a job does is decided inside the writer's transaction anyway, or behind a lock of its own, so two
holders at once would do no harm; a lease saves the others the work, and a dead or frozen holder's lease
passes on by itself.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Leases(Protocol):
    def holds(self, name: str) -> bool:
        """Whether this process is the one; asking takes the lease where it is free, and renews it.
        Raises Unavailable."""
        ...

    def give_up(self, name: str) -> None:
        """Let another process have a turn."""
        ...


def leased(leases: Leases, name: str, job: Callable[[], T]) -> Callable[[], T | None]:
    """The job, run only where the lease is held. Whoever fails at it lets another process try."""

    def run() -> T | None:
        if not leases.holds(name):
            return None
        try:
            return job()
        except Exception:
            leases.give_up(name)
            raise

    return run
