"""Background work: which jobs there are, how often each runs, and which of them one process does for all."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from otarium import backends
from otarium.services import feed, renewal
from otarium.services.leases import ASK_SECONDS, leased
from otarium.services.metadata import Metadata
from otarium.services.offload import Offload
from otarium.services.offloading import STEP_SECONDS, Offloading
from otarium.services.ports_watch import Job
from otarium.services.publishing import Publisher
from otarium.services.refreshing import Refreshing, leave_tuf
from otarium.services.source_files import SourceFiles
from otarium.services.watching import Watching

if TYPE_CHECKING:
    from otarium.bootstrap import Repository
    from otarium.web.meters import WorkerMeters

RENEWAL_INTERVAL = 5.0
CHECKPOINT_INTERVAL = 2.0
REFRESH_INTERVAL = 5.0
"""How often is looked for sources that are due."""
FEED_INTERVAL = 1.0
TELLING_INTERVAL = 5.0
PATIENCE = 2.0
"""How long a stop waits for what is just copied or removed; half of it disturbs nobody who goes on."""
ORPHAN_INTERVAL = 6 * 3600.0


def schedules(
    repository: "Repository",
    publisher: Publisher,
    metadata: Metadata,
    refreshing: Refreshing,
    watching: Watching,
    meters: "WorkerMeters",
    offloading: Offloading | None,
) -> Iterator[renewal.Schedule]:
    """Each has a thread of its own: the first copy for devices may take hours, a sweep of an object store
    minutes, and renewal does not wait."""
    settings, catalog, clock = repository.settings.metadata, repository.catalog, repository.clock
    leases, sweep = backends.leases(repository.settings), repository.sweep()

    def once(name: str, every: float, job: Job) -> tuple[float, Job]:
        """By one process of all."""
        return min(every, ASK_SECONDS), leased(leases, name, every, watching.job(name, job))

    renewing = min(RENEWAL_INTERVAL, settings.timestamp_lifetime / 16)
    yield renewal.Schedule(
        [
            once("renewal", renewing, lambda: renewal.renew(catalog, metadata, publisher, clock)),
            once("leave-tuf", renewing, lambda: leave_tuf(catalog, metadata, publisher, clock)),
            once("feed", FEED_INTERVAL, lambda: feed.follow(catalog, metadata, publisher, clock)),
            once("source-refresh", REFRESH_INTERVAL, refreshing.refresh_due),
            (CHECKPOINT_INTERVAL, watching.job("checkpoint", catalog.checkpoint)),
            (TELLING_INTERVAL, meters.tell_device_requests),
        ]
    )
    yield renewal.Schedule(
        [
            once("sweep", settings.sweep_interval, sweep),
            once("staging", settings.sweep_interval, repository.blobs.clear_abandoned),
            once("orphans", ORPHAN_INTERVAL, sweep.orphans),
        ],
        patience=PATIENCE,
    )
    if offloading is not None:
        yield renewal.Schedule([(STEP_SECONDS, offloading.step)], patience=PATIENCE)


def offload(repository: "Repository", metadata: Metadata) -> Offload | None:
    """None where no copy is kept."""
    settings, catalog = repository.settings, repository.catalog
    target = backends.offload_target(settings)
    if target is None:
        return None
    files, grace = SourceFiles(catalog, metadata), settings.metadata.deleted_grace
    return Offload(target, catalog, metadata, files, repository.blobs, repository.clock, grace)


def offloading(repository: "Repository", metadata: Metadata, watching: Watching) -> Offloading | None:
    copying = offload(repository, metadata)
    if copying is None:
        return None
    push, sweep = watching.job("offload", copying.push), watching.job("offload-sweep", copying.sweep)
    leases = backends.leases(repository.settings)
    return Offloading(copying, metadata, leases, repository.clock, push, sweep)
