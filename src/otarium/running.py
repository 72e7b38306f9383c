"""What the processes of one running server share beside the data: a directory in memory.

Workers count in it (web/meters.py), and a file there says that the server is about to stop. `otarium status`
reads both. It is made anew at every start, under the lock on the data directory, and removed at the end.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from otarium.domain.errors import Broken

LOCK = "serve.lock"
METRICS = "metrics"
LEAVING = "leaving"
_YOUNG_SECONDS = 60
_locks: list[int] = []


@contextlib.contextmanager
def locked_by_main(descriptor: int) -> Iterator[None]:
    """Its lock ends with the main process."""
    _locks.append(descriptor)
    try:
        yield
    finally:
        _locks.remove(descriptor)


def leave_locks() -> None:
    """In a child of the main process, which would hold them a moment longer than it lives."""
    while _locks:
        os.close(_locks.pop())


@contextlib.contextmanager
def directory(path: Path) -> Iterator[dict[str, str]]:
    """The variables that tell workers of it. Raises Broken when the name is taken by somebody else."""
    _clear_abandoned(path)
    try:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path)
        path.mkdir(mode=0o700)
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise Broken(f"{path} cannot be made: {error.strerror}; remove it") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (path / METRICS).mkdir()
        with locked_by_main(lock):
            yield {"PROMETHEUS_MULTIPROC_DIR": str(path / METRICS)}
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _clear_abandoned(path: Path) -> None:
    """Remove what killed servers of this user left beside. A young one may belong to a server that starts."""
    for other in path.parent.glob(f"{path.name.rpartition('-')[0]}-*"):
        with contextlib.suppress(OSError):
            lock = os.open(other, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if time.time() - os.fstat(lock).st_mtime > _YOUNG_SECONDS:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(other)
            finally:
                os.close(lock)


def is_leaving(path: Path) -> bool:
    return (path / LEAVING).exists()


@dataclass(frozen=True, slots=True)
class Job:
    """Background work of the running server; when it ended well last, and how often it failed."""

    succeeded: int | None = None
    failures: int = 0


def jobs(path: Path) -> dict[str, Job]:
    """What the workers counted."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    found: dict[str, Job] = {}
    with contextlib.suppress(ValueError, FileNotFoundError):
        registry = CollectorRegistry(auto_describe=False)
        MultiProcessCollector(registry, str(path / METRICS))  # type: ignore[no-untyped-call]
        for sample in (sample for metric in registry.collect() for sample in metric.samples):
            job = found.get(sample.labels.get("job", ""), Job())
            if sample.name == "otarium_job_last_success_timestamp_seconds":
                found[sample.labels["job"]] = replace(job, succeeded=int(sample.value) or None)
            elif sample.name == "otarium_job_failures_total":
                found[sample.labels["job"]] = replace(job, failures=int(sample.value))
    return found


def served_by(data_dir: Path) -> str | None:
    """Who serves a data directory on this machine. Asks the kernel's list: to try the lock would keep a
    server that starts just now from getting it."""
    try:
        stat = (data_dir / LOCK).stat()
        place = f"{os.major(stat.st_dev):02x}:{os.minor(stat.st_dev):02x}:{stat.st_ino}"
        held = any(place in line.split() for line in Path("/proc/locks").read_text().splitlines())
        return (data_dir / LOCK).read_text().strip() if held else None
    except OSError:
        return None


class Leaving:
    """The time between a SIGTERM and the stop: the server says that it is not ready, and serves on, until
    balancers have noticed. A second signal, and Ctrl-C, cut it short."""

    def __init__(self, path: Path, seconds: float) -> None:
        self._mark = path / LEAVING
        self._seconds = seconds
        self._begun = False

    def then(self, sent: signal.Signals, stop: Callable[[], None]) -> None:
        if self._begun or not self._seconds or sent is signal.SIGINT:
            stop()
            return
        self._begun = True
        with contextlib.suppress(OSError):
            self._mark.touch()
        timer = threading.Timer(self._seconds, stop)
        timer.daemon = True
        timer.start()
