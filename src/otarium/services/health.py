"""Whether this process can do its work."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from otarium.domain.errors import Broken, Refusal
from otarium.domain.packages import timestamp
from otarium.domain.sources import Source
from otarium.services.inventory import Inventory
from otarium.services.metadata import Metadata
from otarium.services.offloading import OffloadHealth, Offloading
from otarium.services.ports import Catalog, Clock
from otarium.services.ports_blobs import BlobStore

SPARE_BYTES = 1024 * 1024
RELEASES_OF_SPACE = 2
"""A release is written to the log and then to the database."""


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """How an external package source fares; `reason` and `since` where its last refresh failed."""

    state: str
    expires: str | None
    reason: str | None
    since: str | None
    last_fetched: str | None


@dataclass(frozen=True, slots=True)
class Readiness:
    """`problems` is empty when the process is ready; `expires` is when the first online role expires.
    A source or a copy for devices that fares badly makes nobody unready."""

    release: int
    expires: str | None
    problems: tuple[str, ...]
    sources: Mapping[str, SourceHealth] = field(default_factory=dict)
    offload: OffloadHealth | None = None


class Health:
    def __init__(
        self,
        catalog: Catalog,
        blobs: BlobStore,
        metadata: Metadata,
        clock: Clock,
        leaving: Callable[[], bool] = lambda: False,
        offloading: Offloading | None = None,
    ) -> None:
        """`leaving` tells whether the server is about to stop."""
        self._catalog = catalog
        self._blobs = blobs
        self._inventory = Inventory(catalog, blobs, clock)
        self._metadata = metadata
        self._clock = clock
        self._leaving = leaving
        self._offloading = offloading

    def for_devices(self) -> Readiness:
        """Whether devices may be sent here. They get what is in memory, so this waits for nobody: a catalog
        that is locked or away is so for all replicas, and a balancer must not lose all of them for it."""
        try:
            release = self._metadata.current
        except Broken:
            return Readiness(0, None, (*self._stopping(), "Nothing has been published yet."))
        expires = min(file.expires for file in release.files())
        expired = expires <= self._clock.now()
        problems = [f"Signed metadata expired at {timestamp(expires)}."] if expired else []
        return Readiness(release.number, timestamp(expires), (*self._stopping(), *problems))

    def _stopping(self) -> tuple[str, ...]:
        return ("The server is about to stop; ask another one.",) if self._leaving() else ()

    def ready(self) -> Readiness:
        """Whether this process can do all of its work. Tries a real write, since a catalog that is locked
        reads well, and looks at the free space."""
        problems, sources = list[str](), dict[str, SourceHealth]()
        try:
            with self._catalog.write(durable=False) as tx:
                tx.probe()
            self._metadata.refresh()
            now = self._clock.now()
            sources = {str(source.name): _health(source, now) for source in self._inventory.sources()}
        except Refusal as refusal:
            problems.append(refusal.message)
        if self._metadata.behind:
            problems.append("The catalog is older than what devices were served; restore the newest copy.")
        if self._blobs.free_bytes() < self._bytes_needed():
            problems.append("The disk is too full to publish or to renew; free some space.")
        known = self.for_devices()
        offload = self._offloading.health() if self._offloading else None
        return Readiness(known.release, known.expires, (*known.problems, *problems), sources, offload)

    def _bytes_needed(self) -> int:
        try:
            files = self._metadata.current.files()
        except Broken:
            return SPARE_BYTES
        return RELEASES_OF_SPACE * sum(file.uptane.length + file.tuf.length for file in files) + SPARE_BYTES


def _health(source: Source, now: int) -> SourceHealth:
    def when(seconds: int | None) -> str | None:
        return None if seconds is None else timestamp(seconds)

    problem = source.problem
    return SourceHealth(
        source.state(now).value,
        when(source.expires),
        problem.code if problem else None,
        when(problem.since) if problem else None,
        when(source.last_fetched),
    )
