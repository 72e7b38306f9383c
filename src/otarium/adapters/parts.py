"""Parts of uploads on their way into an object store: of a few uploads in memory, of all others on the disk.

A store takes no part below 5 MiB, so a hundred uploads at once would hold a gigabyte. Nobody waits for a
place in memory, since whoever has one may be slow: without one, parts are collected in files without names.
"""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryFile
from threading import Semaphore
from typing import IO

from otarium.domain.errors import StorageFull

PART_BYTES = 5 * 1024 * 1024
"""The smallest part that S3 takes."""
_IN_MEMORY = 5
"""Uploads, of three parts each: two on their way, and one that fills."""
_TURNS = 4
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Parts:
    """Of all uploads of a process. Safe for any thread."""

    def __init__(self, directory: Path | None = None) -> None:
        """Files are in `directory`, which should not be memory itself; the system's for None."""
        self._directory = directory
        self._places, self._turns = Semaphore(_IN_MEMORY), Semaphore(_TURNS)

    def place(self) -> "Place":
        """For an upload, which gives it back by `close`."""
        in_memory = self._places.acquire(blocking=False)
        return Place(self._directory, self._turns, self._places if in_memory else None)


class Place:
    """Where one upload collects its parts."""

    def __init__(self, directory: Path | None, turns: Semaphore, taken: Semaphore | None) -> None:
        self._directory = directory
        self._turns = turns
        self._taken = taken
        self.in_memory = taken is not None

    def part(self, ahead: int = 0) -> "Part":
        """An empty one, of which `ahead` bytes are with the store already."""
        with _full_disk_is_a_refusal():
            return Part(None if self.in_memory else self._file(), PART_BYTES - ahead)

    def _file(self) -> IO[bytes]:
        if self._directory is not None:
            self._directory.mkdir(mode=0o700, exist_ok=True)
        return TemporaryFile(dir=self._directory)

    @contextmanager
    def sending(self, part: "Part") -> Iterator[Sequence[bytes | memoryview]]:
        """What a part holds, in pieces. Those that come from the disk take turns: they wait for the store
        alone."""
        with nullcontext() if self.in_memory else self._turns:
            yield part.read()
            part.close()

    def close(self) -> None:
        taken, self._taken = self._taken, None
        if taken is not None:
            taken.release()


class Part:
    """The bytes of one part, while they come in: as they came in memory, or in a file."""

    def __init__(self, file: IO[bytes] | None, room: int) -> None:
        self._pieces: list[bytes | memoryview] = []
        self._file = file
        self.room = room
        """How many bytes are missing."""

    def write(self, data: memoryview) -> memoryview:
        """What had no room. The rest is kept as it is, not copied."""
        taken = data[: self.room]
        if self._file is None:
            self._pieces.append(taken)
        else:
            with _full_disk_is_a_refusal():
                self._file.write(taken)
        self.room -= len(taken)
        return data[len(taken) :]

    def read(self) -> list[bytes | memoryview]:
        if self._file is not None:
            self._file.seek(0)
            return [self._file.read()]
        return self._pieces

    def close(self) -> None:
        self._pieces = []
        if self._file is not None:
            self._file.close()


@contextmanager
def _full_disk_is_a_refusal() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull("The disk where uploads wait is full.", retry_after=30) from error
        raise
