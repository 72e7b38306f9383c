"""The port of the bytes of packages."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

from otarium.domain.names import Sha256

UNLIMITED = 1 << 62


class Locks(Protocol):
    """Between all processes that share a repository; whoever dies lets go."""

    def tried(self, name: str) -> AbstractContextManager[bool]:
        """Whether this is the one holder, until the end of the context; nobody waits. Raises Unavailable."""
        ...


class StagedBlob(Protocol):
    """Bytes on their way in; not visible to anybody until `commit`."""

    @property
    def sha256(self) -> Sha256 | None:
        """Known once it is finished."""
        ...

    def write(self, data: bytes) -> None:
        """Raises StorageFull."""
        ...

    def finish(self) -> tuple[Sha256, int]:
        """Make the bytes durable; answers their hash and length."""
        ...

    def commit(self) -> None:
        """Make the blob readable under its hash, durably; the same bytes may be there already."""
        ...

    def cancel(self) -> None:
        """Leave nothing staged; what was committed stays."""
        ...


class OpenBlob(Protocol):
    """Bytes that can be read; a context manager that lets go of them."""

    @property
    def length(self) -> int: ...
    def read_at(self, offset: int, size: int) -> bytes:
        """At most `size` bytes; none at the end. Raises Unavailable."""
        ...

    def __enter__(self) -> "OpenBlob": ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class BlobStore(Protocol):
    """Immutable bytes, named by their sha256."""

    def stage(self) -> StagedBlob: ...
    def exists(self, sha256: Sha256) -> bool: ...
    def open(self, sha256: Sha256) -> OpenBlob | None: ...
    def link_to(self, sha256: Sha256) -> str | None:
        """A URL at which a device may fetch the bytes by itself for a while, or a path (it starts with a
        slash) at which the proxy in front finds them; None when they go through this server."""
        ...

    def delete(self, sha256: Sha256) -> None: ...
    def free_bytes(self) -> int:
        """`UNLIMITED` where nobody can tell."""
        ...

    def orphans(self, known: frozenset[Sha256], before: float) -> Iterator[Sha256]:
        """Blobs without a row, older than `before`."""
        ...
