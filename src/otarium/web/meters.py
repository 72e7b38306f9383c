"""What one worker counts, so that any worker's /metrics tells the sum of all.

Workers of one machine write into files of a directory in memory (prometheus_client's multiprocess mode),
which the main process makes and names in PROMETHEUS_MULTIPROC_DIR before it starts them. Where it is not
set, a worker tells its own numbers.
"""

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_CHANGES = (1, 2, 4, 8, 16, 32, 64)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class WorkerMeters:
    """A Meters, and what the web side counts. Used from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.device_requests = 0
        """Raised by the event loop for every GET of a device, since that costs nanoseconds."""
        self._told_device_requests = 0
        self._define_web()
        self._define_work()
        self._answered = cache(self._labelled)

    def _define_web(self) -> None:
        where = self.registry
        self._requests = Counter(
            "otarium_requests", "Requests to the API", ["method", "route", "status"], registry=where
        )
        self._durations = Histogram(
            "otarium_request_duration_seconds",
            "From the first byte of the head to the last of the answer",
            ["method", "route"],
            buckets=_SECONDS,
            registry=where,
        )
        self._devices = Counter(
            "otarium_device_requests", "Requests below /repo and /tuf, a few seconds late", registry=where
        )
        self._uploads = Gauge(
            "otarium_uploads_in_progress",
            "Uploads that run now",
            registry=where,
            multiprocess_mode="livesum",
        )

    def _define_work(self) -> None:
        where = self.registry
        self._rounds = Histogram(
            "otarium_publish_duration_seconds",
            "One release: apply, sign, save, commit",
            buckets=_SECONDS,
            registry=where,
        )
        self._changes = Histogram(
            "otarium_publish_changes", "Changes in one release", buckets=_CHANGES, registry=where
        )
        self._failures = Counter(
            "otarium_publish_failures", "Rounds with changes that could not be published", registry=where
        )
        self._queue = Gauge(
            "otarium_publish_queue",
            "Changes that were waiting when the last release was out",
            registry=where,
            multiprocess_mode="livesum",
        )
        self._job_success = Gauge(
            "otarium_job_last_success_timestamp_seconds",
            "When background work ended well last",
            ["job"],
            registry=where,
            multiprocess_mode="max",
        )
        self._job_failures = Counter(
            "otarium_job_failures", "Runs of background work that failed", ["job"], registry=where
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """`route` is a template, never a path: its values must be few."""
        requests, durations = self._answered(method if method in _METHODS else "other", route, status)
        requests.inc()
        durations.observe(seconds)

    def _labelled(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        return self._requests.labels(method, route, str(status)), self._durations.labels(method, route)

    def uploads(self, running: int) -> None:
        self._uploads.set(running)

    def published(self, seconds: float, changes: int, waiting: int, failed: bool) -> None:
        self._rounds.observe(seconds)
        self._changes.observe(changes)
        self._queue.set(waiting)
        if failed:
            self._failures.inc()

    def job_ended(self, job: str, at: int, failed: bool) -> None:
        failures = self._job_failures.labels(job)
        if failed:
            failures.inc()
        else:
            self._job_success.labels(job).set(at)

    def tell_device_requests(self) -> None:
        """Let the others know; called every few seconds."""
        count = self.device_requests
        self._devices.inc(count - self._told_device_requests)
        self._told_device_requests = count

    def totals(self) -> CollectorRegistry:
        """Of all workers of the machine."""
        directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        if directory is None:
            return self.registry
        _forget_dead_workers(Path(directory))
        registry = CollectorRegistry(auto_describe=False)
        MultiProcessCollector(registry, directory)  # type: ignore[no-untyped-call]
        return registry


def _forget_dead_workers(directory: Path) -> None:
    """What a killed worker had running is over; what it counted stays counted."""
    for path in directory.glob("gauge_live*_*.db"):
        pid = path.stem.rpartition("_")[2]
        if not Path(f"/proc/{pid}").exists():
            with suppress(FileNotFoundError):
                mark_process_dead(int(pid), str(directory))  # type: ignore[no-untyped-call]
