"""Figures of one core: the server stays on the first, and whoever measures it keeps off that one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def split(group: int) -> Iterator[None]:
    """All threads of a process group on one core; this process, and what it starts, on the others."""
    everywhere = os.sched_getaffinity(0)
    first, *others = sorted(everywhere)
    _place(group, {first})
    os.sched_setaffinity(0, others or {first})
    try:
        yield
    finally:
        os.sched_setaffinity(0, everywhere)
        _place(group, everywhere)


def _place(group: int, cores: set[int]) -> None:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(ProcessLookupError, FileNotFoundError):
            if os.getpgid(int(process.name)) == group:
                for thread in (process / "task").iterdir():
                    os.sched_setaffinity(int(thread.name), cores)
