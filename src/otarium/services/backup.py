"""A backup as one tar file: the catalog and every blob it lists, laid out as a data directory has them.

The master key is not in it, so a backup alone opens no private key and no credential.
"""

import fcntl
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol

from otarium.domain.errors import Broken
from otarium.domain.names import Sha256

WORK_PREFIX = "backup-"
"""Of the directory with hard links that a running backup has, locked, beside the blobs."""


class ArchivedCatalog(Protocol):
    def copy_to(self, target: Path) -> Sequence[Sha256]:
        """A consistent copy while others write; answers the blobs that it lists."""
        ...


class ArchivedBlobs(Protocol):
    def link(self, sha256: Sha256, target: Path) -> bool:
        """A second name for the bytes; False when they are missing."""
        ...

    def archive_name(self, sha256: Sha256) -> str:
        """Where the bytes lie in a data directory that has everything in its own place."""
        ...


def clear_abandoned(work_parent: Path) -> None:
    """Remove what killed backups left."""
    for left in work_parent.glob(f"{WORK_PREFIX}*"):
        with suppress(BlockingIOError):
            os.close(_lock(left))
            shutil.rmtree(left, ignore_errors=True)


def _lock(directory: Path) -> int:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    return descriptor


def write(
    catalog: ArchivedCatalog,
    blobs: ArchivedBlobs,
    work_parent: Path,
    target: Path,
    progress: Callable[[int], None],
) -> int:
    """How many blobs were written; `progress` is told their bytes. Raises Broken.

    The blobs that the catalog lists are hard-linked before the long copy, which takes no time: those of a
    package that is deleted, and swept, meanwhile are still there. `work_parent` is on their file system.
    """
    if target.exists():
        raise Broken(f"{target} exists already; name another file")
    with ExitStack() as held:
        folder = held.enter_context(tempfile.TemporaryDirectory(prefix=WORK_PREFIX, dir=work_parent))
        work = Path(folder)
        held.callback(os.close, _lock(work))
        hashes = catalog.copy_to(work / "catalog.sqlite")
        for sha256 in hashes:
            if not blobs.link(sha256, work / sha256):
                raise Broken(f"the blob {sha256} is missing; run `otarium verify`")
        partial = target.with_name(target.name + ".partial")
        with partial.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            try:
                with tarfile.open(fileobj=file, mode="w") as tar:
                    tar.add(work / "catalog.sqlite", "catalog.sqlite")
                    for sha256 in hashes:
                        tar.add(work / sha256, blobs.archive_name(sha256))
                        progress((work / sha256).stat().st_size)
                file.flush()
                os.fsync(file.fileno())
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)
        return len(hashes)
