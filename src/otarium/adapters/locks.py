"""Locks between the processes of one machine; the kernel drops them when their holder dies."""

import fcntl
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from otarium.domain.names import SourceName


class FileLocks:
    """One empty file per name, below a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def held(self, name: SourceName) -> Iterator[None]:
        # A source name has no slash and no leading dot.
        with _opened(self._directory, name) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield

    @contextmanager
    def tried(self, name: str) -> Iterator[bool]:
        with _opened(self._directory, name) as descriptor:
            yield _is_locked(descriptor)


class FileLeases:
    """One file per job, locked for as long as its holder lives; in that of a job that goes by turns stands
    the time of the last one."""

    def __init__(self, directory: Path, now: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._now = now
        self._held: dict[str, int] = {}
        self._turns: set[str] = set()

    def holds(self, name: str) -> bool:
        if name in self._held:
            return True
        descriptor = _open(self._directory, name)
        if not _is_locked(descriptor):
            os.close(descriptor)
            return False
        self._held[name] = descriptor
        return True

    def turn(self, name: str, seconds: float) -> bool:
        with _opened(self._directory, name) as descriptor:
            if not _is_locked(descriptor):
                return False
            now, last = self._now(), _time_in(descriptor)
            if last <= now < last + seconds:
                return False
            _put_time(descriptor, str(now))
        self._turns.add(name)
        return True

    def give_up(self, name: str) -> None:
        if name in self._held:
            os.close(self._held.pop(name))
        if name in self._turns:
            with _opened(self._directory, name) as descriptor:
                if _is_locked(descriptor):
                    self._turns.discard(name)
                    _put_time(descriptor, "")


def _open(directory: Path, name: str) -> int:
    directory.mkdir(mode=0o700, exist_ok=True)
    return os.open(directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


@contextmanager
def _opened(directory: Path, name: str) -> Iterator[int]:
    descriptor = _open(directory, name)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    """Whether the lock was free, and is ours from now on."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _time_in(descriptor: int) -> float:
    """Nothing is there before the first turn, and what a power cut left may be no number."""
    try:
        return float(os.pread(descriptor, 64, 0))
    except ValueError:
        return -math.inf


def _put_time(descriptor: int, text: str) -> None:
    """Where a full disk takes it no more, it is forgotten: the next turn is early, and may make some room."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)
