"""Blobs in a directory: `sha256/ab/<hash>`, staged beside on the same file system.

A blob is written to `staging/`, fsynced, renamed to its hash and its directory fsynced; only then may a
transaction list it. Names come from hashes alone, never from users.
"""

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from otarium.domain.errors import StorageFull, Unavailable
from otarium.domain.names import Sha256

PROXY_PATH = "/otarium-blobs"
"""Where the proxy in front finds the directory `sha256`, for itself alone."""
_LOCKED_WITHIN = 5.0
_WRITEBACK_BYTES = 16 * 1024 * 1024


class FileBlobStore:
    def __init__(self, directory: Path, *, shared: bool = False, by_proxy: bool = False) -> None:
        """`shared`: with other replicas. `by_proxy`: the proxy in front sends the bytes, as a member of the
        group that owns them."""
        self._root = directory / "sha256"
        self._staging = directory / "staging"
        self._shared = shared
        self._by_proxy = by_proxy
        self.mode = 0o640 if by_proxy else 0o600

    def prepare(self) -> None:
        """Make the directories and clear what a crash left in staging: all of it where nobody else writes."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._shared:
            shutil.rmtree(self._staging, ignore_errors=True)
        self._staging.mkdir(exist_ok=True, mode=0o700)
        self.clear_abandoned()
        for first in range(256):
            (self._root / f"{first:02x}").mkdir(exist_ok=True, mode=0o700)
        if self._by_proxy:
            for path in (self._root.parent, self._root, *self._root.iterdir()):
                path.chmod(0o750)

    def clear_abandoned(self) -> None:
        """Remove what is staged by workers that were killed: nobody holds its lock any more. What was made
        just now may be on its way to its lock."""
        before = time.time() - _LOCKED_WITHIN
        for path in self._staging.iterdir():
            with suppress(FileNotFoundError), path.open("rb") as file, suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(file.fileno()).st_mtime < before:
                    path.unlink()

    def stage(self) -> "FileStagedBlob":
        with _full_disk_is_a_refusal():
            return FileStagedBlob(self, f"{self._staging}/{secrets.token_hex(16)}")

    def path(self, sha256: Sha256) -> str:
        """No Path: each one's parts go through a table of the interpreter, which grows by names that come
        and go for hours, and never shrinks."""
        return f"{self._root}/{_place(sha256)}"

    def exists(self, sha256: Sha256) -> bool:
        return os.path.exists(self.path(sha256))

    def open(self, sha256: Sha256) -> "FileBlob | None":
        try:
            return FileBlob(os.open(self.path(sha256), os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            return None

    def link_to(self, sha256: Sha256) -> str | None:
        return f"{PROXY_PATH}/{_place(sha256)}" if self._by_proxy and self.exists(sha256) else None

    def delete(self, sha256: Sha256) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self.path(sha256))

    def free_bytes(self) -> int:
        return shutil.disk_usage(self._root).free

    def link(self, sha256: Sha256, target: Path) -> bool:
        try:
            os.link(self.path(sha256), target)
        except FileNotFoundError:
            return False
        return True

    def archive_name(self, sha256: Sha256) -> str:
        return f"blobs/sha256/{_place(sha256)}"

    def orphans(self, known: frozenset[Sha256], before: float) -> Iterator[Sha256]:
        for path in self._root.glob("??/*"):
            if path.name not in known and path.stat().st_mtime < before:
                yield Sha256(path.name)


def _place(sha256: Sha256) -> str:
    return f"{sha256[:2]}/{sha256}"


class FileBlob:
    """A blob that is open; its bytes stay readable when its name goes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.length = os.fstat(descriptor).st_size

    def read_at(self, offset: int, size: int) -> bytes:
        return os.pread(self._descriptor, size, offset)

    def __enter__(self) -> "FileBlob":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


class FileStagedBlob:
    """One upload. All methods block; call them from one thread at a time."""

    def __init__(self, store: FileBlobStore, path: str) -> None:
        self._store = store
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.fchmod(self._file, store.mode)  # whatever the umask is
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._hash = hashlib.sha256()
        self._length = 0
        self.sha256: Sha256 | None = None

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        with _full_disk_is_a_refusal():
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
        before = self._length // _WRITEBACK_BYTES
        self._length += len(data)
        if self._length // _WRITEBACK_BYTES != before:
            # Starts writing dirty pages now, so that the final fsync has little left to wait for.
            os.posix_fadvise(self._file, 0, self._length, os.POSIX_FADV_DONTNEED)

    def finish(self) -> tuple[Sha256, int]:
        with _full_disk_is_a_refusal():
            os.fsync(self._file)
        self.sha256 = Sha256(self._hash.hexdigest())
        return self.sha256, self._length

    def commit(self) -> None:
        if self.sha256 is None:
            raise RuntimeError("commit before finish")
        target = self._store.path(self.sha256)
        with _full_disk_is_a_refusal():
            os.replace(self._path, target)
            _fsync_directory(os.path.dirname(target))
        self._close()

    def cancel(self) -> None:
        self._close()
        with suppress(FileNotFoundError):
            os.unlink(self._path)

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _fsync_directory(path: str) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class _full_disk_is_a_refusal:
    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, OSError):
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull("The disk for packages is full.", retry_after=30) from error
            raise Unavailable("The store for packages failed.", retry_after=5) from error
