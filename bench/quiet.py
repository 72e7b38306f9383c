"""A machine that is busy with something else gives no ratios; wait until it is not, for a while."""

import time
from pathlib import Path

SAMPLE = 0.4
QUIET = 0.15


def busy_cores() -> float:
    """How many cores are at work; our own servers are idle when this is asked."""
    before, started = _busy_ticks(), time.monotonic()
    time.sleep(SAMPLE)
    return (_busy_ticks() - before) / 100 / (time.monotonic() - started)


def wait(at_most: float) -> None:
    """Until others leave the machine alone, or the seconds are over."""
    deadline = time.monotonic() + at_most
    while busy_cores() > QUIET and time.monotonic() < deadline:
        pass


def _busy_ticks() -> int:
    """Ticks (100 a second, all cores together) that were neither idle nor waiting for a disk."""
    user, nice, system, _idle, _wait, *rest = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    return user + nice + system + sum(rest)
