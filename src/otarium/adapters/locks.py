"""Locks between the processes of one machine; the kernel drops them when their holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
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
    """One file per job, locked for as long as its holder lives."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._held: dict[str, int] = {}

    def holds(self, name: str) -> bool:
        if name in self._held:
            return True
        descriptor = _open(self._directory, name)
        if not _is_locked(descriptor):
            os.close(descriptor)
            return False
        self._held[name] = descriptor
        return True

    def give_up(self, name: str) -> None:
        if name in self._held:
            os.close(self._held.pop(name))


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
