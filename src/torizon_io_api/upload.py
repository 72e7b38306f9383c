"""The body of an upload: whatever the caller has, as blocks of bytes whose number is known beforehand.

Nothing here holds more than one block of a file in memory. A file that changes its size under way is noticed
before the last block leaves, so that the server never takes a torn file for a whole one.
"""

import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, Protocol

BLOCK = 256 * 1024  # bytes

Progress = Callable[[int, int], object]
"""Called with (bytes sent, bytes in all) after every block; starts over when an upload is repeated."""


class Readable(Protocol):
    """The least that an open binary file must offer; with `seek` and `tell` an upload can be repeated."""

    def read(self, size: int, /) -> bytes: ...


Source = str | os.PathLike[str] | bytes | bytearray | memoryview | tuple[str, bytes] | BinaryIO | Readable
"""Text and path objects name a file; a pair is (file name, content), of which only the content is sent."""


class Upload:
    """An iterable of the body's blocks; each iteration starts from the beginning."""

    def __init__(
        self, size: int, opened: Callable[[], AbstractContextManager[Readable]], *, rewindable: bool
    ) -> None:
        self.size = size
        self.rewindable = rewindable
        self.progress: Progress | None = None
        self.stall: float | None = None
        """Seconds that the server may take to accept one block; set by the transport."""
        self._opened = opened

    def __iter__(self) -> Iterator[bytes]:
        with self._opened() as source:
            yield from self._blocks(source)

    def _blocks(self, source: Readable) -> Iterator[bytes]:
        sent = 0
        while sent < self.size:
            block = source.read(min(BLOCK, self.size - sent))
            if not isinstance(block, bytes):
                raise TypeError("the body is a file open for text; open it in binary mode")
            if not block:
                raise ValueError(f"the body ended after {sent} of {self.size} bytes")
            if sent + len(block) == self.size and self.rewindable and source.read(1):
                raise ValueError(f"the body grew beyond its {self.size} bytes while it was sent")
            yield block
            sent += len(block)
            if self.progress is not None:
                self.progress(sent, self.size)


def as_upload(body: Source | None, content_length: int | None) -> Upload:
    """The body in the form that is sent; `content_length` is needed only for what cannot tell its own size.

    Raises ValueError when the body is missing, has another size than `content_length`, or has none at all to
    be found; OSError when the file cannot be read; TypeError for anything that is no body.
    """
    upload = _recognised(body, content_length)
    if content_length is not None and content_length != upload.size:
        raise ValueError(f"content_length is {content_length} but the body has {upload.size} bytes")
    return upload


def _recognised(body: Source | None, content_length: int | None) -> Upload:
    if body is None:
        raise ValueError("body is missing: give a path, bytes, or a file open in binary mode")
    if isinstance(body, tuple):
        body = body[1]
    if isinstance(body, bytes | bytearray | memoryview):
        content = memoryview(body).cast("B")
        return Upload(len(content), lambda: nullcontext(_View(content)), rewindable=True)
    if isinstance(body, str | os.PathLike):
        return _from_path(Path(body))
    if hasattr(body, "read"):
        return _from_file(body, content_length)
    raise TypeError(f"body must be a path, bytes, or a file open in binary mode, not {type(body).__name__}")


def _from_path(path: Path) -> Upload:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path} is not a regular file: open it yourself and give content_length")
    return Upload(status.st_size, lambda: path.open("rb"), rewindable=True)


def _from_file(file: Readable, content_length: int | None) -> Upload:
    """From where the file stands now to its end."""
    if isinstance(file, io.TextIOBase):
        raise TypeError("the body is a file open for text; open it in binary mode")
    seek, tell = getattr(file, "seek", None), getattr(file, "tell", None)
    seekable = getattr(file, "seekable", None)
    if seek is None or tell is None or (seekable is not None and not seekable()):
        if content_length is None:
            raise ValueError("the body cannot tell its size: give content_length")
        return Upload(content_length, lambda: nullcontext(file), rewindable=False)
    start = tell()
    size = seek(0, os.SEEK_END) - start
    seek(start)

    def again() -> AbstractContextManager[Readable]:
        seek(start)
        return nullcontext(file)

    return Upload(size, again, rewindable=True)


class _View:
    """Reads from memory without copying the whole of it first, as `io.BytesIO(bytearray)` would."""

    def __init__(self, content: memoryview) -> None:
        self._content = content
        self._at = 0

    def read(self, size: int, /) -> bytes:
        block = bytes(self._content[self._at : self._at + size])
        self._at += len(block)
        return block
