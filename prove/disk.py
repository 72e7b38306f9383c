"""A small file system of its own, in memory, that can be filled without harm to anybody."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prove.claims import Impossible

BLOCK = 4096


@contextmanager
def small_disk(directory: Path, size: int) -> Iterator[Path]:
    """Raises Impossible where nothing can be mounted."""
    directory.mkdir(parents=True)
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    options = f"size={size},mode=0777"
    try:
        mount = [*root, "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)]
        subprocess.run(mount, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", "") or str(error)
        raise Impossible(f"a tmpfs cannot be mounted here (that takes root): {reason.strip()}") from None
    try:
        yield directory
    finally:
        subprocess.run([*root, "umount", "--lazy", str(directory)], check=True)


def free_bytes(directory: Path) -> int:
    state = os.statvfs(directory)
    return state.f_bavail * state.f_frsize


def take(path: Path, size: int) -> None:
    """A foreign file of this size."""
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)


def take_everything(path: Path) -> None:
    """A foreign file that leaves nothing, not one block."""
    with path.open("ab", buffering=0) as file:
        for step in (1024 * 1024, BLOCK, 1):
            try:
                while file.write(bytes(step)) == step:
                    pass
            except OSError:
                continue
