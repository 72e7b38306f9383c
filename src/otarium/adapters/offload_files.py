"""The copy for devices in a directory that a web server serves as it stands.

    repo/7.targets.json          versioned names, blobs below targets/: real files, never written twice
    repo/targets.json            a link to ../.current/repo/targets.json, and so are all plain names
    .current                     a link to .releases/12; replacing it shows a whole new release
    .releases/12/repo/...        hard links to versioned names

A file's time is its version: web servers make ETag and Last-Modified of it, which have to differ also for
two files of one size within one second.
"""

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from otarium.domain.errors import NotFound, StorageFull, Unavailable
from otarium.domain.names import Sha256
from otarium.domain.offloaded import fits
from otarium.services.ports_blobs import OpenBlob

_CHUNK_BYTES = 1024 * 1024
_RELEASES = 3
"""Directories of releases that stay: whoever is just being served may be on its way into the one before."""

Link = Callable[[Sha256, Path], bool]
"""Gives the bytes of a blob a second name; raises OSError where the file system cannot."""


class FileOffload:
    swaps = True

    def __init__(self, directory: Path, link: Link | None = None) -> None:
        self._root = directory
        self._link = link
        self._staging = directory / ".staging"
        self._releases = directory / ".releases"
        self._current = directory / ".current"

    @contextmanager
    def held(self) -> Iterator[None]:
        with _translated():
            self._root.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(self._staging, ignore_errors=True)
                for made in (self._staging, self._releases):
                    made.mkdir(exist_ok=True)
                yield
            except BlockingIOError:
                raise Unavailable("Another process is writing to the offload directory.") from None
            finally:
                os.close(lock)

    def read(self, name: str) -> bytes | None:
        with _translated(), suppress(FileNotFoundError):
            return (self._root / name).read_bytes()
        return None

    def put(self, name: str, raw: bytes, version: int) -> None:
        with _translated(), self._staged() as staged:
            with staged.open("wb", buffering=0) as file:  # nothing is written after its time was set
                file.write(raw)
                self._finish(file.fileno(), version)
            self._name(staged, name)

    def put_blob(self, names: Sequence[str], sha256: Sha256, blob: OpenBlob) -> None:
        with _translated():
            first: Path | None = None
            for name in names:
                path = self._root / name
                with suppress(NotADirectoryError, FileExistsError, IsADirectoryError):
                    # A package may have the name of another one's directory: the server hands out that one.
                    if fits(name) and not self._has(path, first, blob.length):
                        self._put_blob(name, first, sha256, blob)
                    first = first or (path if fits(name) else None)

    def _has(self, path: Path, first: Path | None, length: int) -> bool:
        """A name without a hash may have had other bytes."""
        try:
            return path.samefile(first) if first else path.stat().st_size == length
        except FileNotFoundError:
            return False

    def _put_blob(self, name: str, first: Path | None, sha256: Sha256, blob: OpenBlob) -> None:
        with self._staged() as staged:
            if not self._linked(first, sha256, staged):
                staged.unlink(missing_ok=True)
                with staged.open("xb") as file:
                    position = 0
                    while data := blob.read_at(position, _CHUNK_BYTES):
                        position += file.write(data)
                    self._finish(file.fileno(), None)
            self._name(staged, name)

    def _linked(self, first: Path | None, sha256: Sha256, staged: Path) -> bool:
        """Another name for the bytes that are here, or in the blob store, where the file system can."""
        with suppress(OSError):
            if first is not None:
                staged.hardlink_to(first)
            elif self._link is None or not self._link(sha256, staged):
                return False
            # Blobs are for their owner alone, by the directory that they are in, too.
            staged.chmod(0o644)
            return True
        return False

    def _finish(self, descriptor: int, version: int | None) -> None:
        os.fchmod(descriptor, 0o644)
        if version is not None:
            os.utime(descriptor, (version, version))
        os.fsync(descriptor)

    @contextmanager
    def _staged(self) -> Iterator[Path]:
        staged = self._staging / secrets.token_hex(8)
        try:
            yield staged
        finally:
            # Renaming one name of a file to another of its names does nothing at all.
            staged.unlink(missing_ok=True)

    def _name(self, staged: Path, name: str) -> None:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        staged.replace(path)
        _fsync(path.parent)

    def switch(self, number: int, plain: Mapping[str, str]) -> None:
        with _translated():
            release = self._releases / str(number)
            shutil.rmtree(release, ignore_errors=True)
            for name, versioned in plain.items():
                link = release / name
                try:
                    link.hardlink_to(self._root / versioned)
                except FileNotFoundError:
                    link.parent.mkdir(parents=True, exist_ok=True)
                    self._link_to(versioned, link)
            self._lead_to_current({tuple(name.split("/")[:2]) for name in plain})
            for directory in {(release / name).parent for name in plain} | {release, self._releases}:
                _fsync(directory)
            self._point(self._current, f".releases/{number}")
            for one in sorted(self._releases.iterdir(), key=lambda path: int(path.name))[:-_RELEASES]:
                shutil.rmtree(one, ignore_errors=True)

    def _link_to(self, versioned: str, link: Path) -> None:
        try:
            link.hardlink_to(self._root / versioned)
        except FileNotFoundError:
            raise NotFound(f"{versioned} is missing in the offload directory.") from None

    def _lead_to_current(self, tops: set[tuple[str, ...]]) -> None:
        for dialect, top in sorted(tops):
            link = self._root / dialect / top
            if not link.is_symlink():
                self._point(link, f"../.current/{dialect}/{top}")

    def _point(self, link: Path, target: str) -> None:
        with self._staged() as staged:
            staged.symlink_to(target)
            staged.replace(link)
            _fsync(link.parent)

    def names(self) -> Iterator[str]:
        for top in ("repo", "tuf"):
            for directory, _, files in os.walk(self._root / top):
                for file in files:
                    path = Path(directory, file)
                    if not path.is_symlink():
                        yield str(path.relative_to(self._root))

    def delete(self, name: str) -> None:
        with _translated():
            path = self._root / name
            path.unlink(missing_ok=True)
            for parent in path.relative_to(self._root).parents:
                try:
                    (self._root / parent).rmdir()
                except OSError:
                    break


def _fsync(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull("The disk of the offload directory is full.", retry_after=30) from error
        raise Unavailable(f"The offload directory failed: {error.strerror}.", retry_after=5) from error
