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
        self._directory.mkdir(mode=0o700, exist_ok=True)
        # A source name has no slash and no leading dot.
        descriptor = os.open(self._directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


class FileLeases:
    """One file per job, locked for as long as its holder lives."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._held: dict[str, int] = {}

    def holds(self, name: str) -> bool:
        if name in self._held:
            return True
        self._directory.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(self._directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._held[name] = descriptor
        return True

    def give_up(self, name: str) -> None:
        if name in self._held:
            os.close(self._held.pop(name))
