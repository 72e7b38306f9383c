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
