"""Settings into adapters, adapters into services, services into the web application.

The only importer of adapters, and wired by hand: what depends on what can be read here top to bottom.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from otarium import backends, background
from otarium.adapters import keystore, migrations, tracing
from otarium.adapters.blobs_files import FileBlobStore
from otarium.adapters.catalog import SqliteCatalog
from otarium.adapters.fetcher import PORTS, GuardedFetcher
from otarium.adapters.traced import TracedBlobs, TracedCatalog, TracedFetcher
from otarium.adapters.views import SharedViews
from otarium.domain.errors import Broken, Refusal
from otarium.domain.release import Lifetimes
from otarium.domain.shelves import ShelfLimits
from otarium.running import is_leaving
from otarium.services import authority, backup, renewal
from otarium.services.clients import Clients, Issued
from otarium.services.downloads import Downloads
from otarium.services.feed import Feed
from otarium.services.health import Health
from otarium.services.inventory import Inventory
from otarium.services.metadata import Metadata, Retention
from otarium.services.offload import Offload
from otarium.services.packages import Limits, Packages
from otarium.services.ports import Clock
from otarium.services.ports_sources import SourceFetcher
from otarium.services.ports_watch import NoTraces, Traces, Watch
from otarium.services.publishing import Publisher
from otarium.services.refreshing import Refreshing
from otarium.services.shelving import Shelving
from otarium.services.source_files import SourceFiles
from otarium.services.sources import Sources
from otarium.services.uploads import Uploads
from otarium.services.verify import Verification
from otarium.services.watching import Watching
from otarium.settings import MetadataSettings, Settings

if TYPE_CHECKING:
    from otarium.adapters.blobs_objects import ObjectBlobStore
    from otarium.adapters.catalog_postgres import PostgresCatalog
    from otarium.web.app import Asgi


class SystemClock:
    def now(self) -> int:
        return int(time.time())


@dataclass(frozen=True, slots=True)
class Repository:
    """The repository of one data directory, without a server: what operator commands work on."""

    settings: Settings
    catalog: "SqliteCatalog | PostgresCatalog | TracedCatalog"
    blobs: "FileBlobStore | ObjectBlobStore | TracedBlobs"
    master: keystore.MasterKey
    clients: Clients
    clock: Clock
    views: SharedViews

    def verification(self, progress: Callable[[int], None]) -> Verification:
        return Verification(self.catalog, self.blobs, self.clock, progress)

    def publisher(self, watch: Watch | None = None) -> tuple[Publisher, Metadata]:
        """Not started."""
        settings = self.settings.metadata
        metadata = Metadata(self.catalog, backends.changes(self.settings), self.views)
        signer = keystore.LocalSigner(authority.keys_of(self.catalog), self.master)
        retention = Retention(settings.kept_seconds, settings.kept_files, settings.kept_bytes)
        lifetimes = _lifetimes(settings)
        shelving = self.shelving()
        publisher = Publisher(
            self.catalog, metadata, signer, self.clock, lifetimes, retention, shelving, watch
        )
        return publisher, metadata

    def shelving(self) -> Shelving:
        settings = self.settings.metadata
        return Shelving(
            ShelfLimits(settings.first_shelf_packages, settings.shelf_packages, settings.layout == "flat")
        )

    def sources(self, publisher: Publisher, traces: Traces | None = None) -> tuple[Sources, Refreshing]:
        vault = keystore.LocalVault(self.master)
        sources = Sources(self.catalog, publisher, vault, keystore.LocalVouchKeys(self.master))
        settings = self.settings.sources
        fetcher: SourceFetcher = GuardedFetcher(
            ca_file=settings.ca_file, ports=PORTS.union(settings.ports), allowed_networks=settings.networks
        )
        if traces is not None:
            fetcher = TracedFetcher(fetcher, traces)
        locks = backends.locks(self.settings, "source")
        refreshing = Refreshing(self.catalog, publisher, sources, fetcher, locks, vault, self.clock)
        return sources, refreshing

    def inventory(self) -> Inventory:
        return Inventory(self.catalog, self.blobs, self.clock)

    def sweep(self) -> renewal.Sweep:
        locks, grace = backends.locks(self.settings, "blob"), self.settings.metadata.deleted_grace
        return renewal.Sweep(self.catalog, self.blobs, self.clock, grace, locks)


def _lifetimes(settings: MetadataSettings) -> Lifetimes:
    return Lifetimes(
        settings.root_lifetime,
        settings.targets_lifetime,
        settings.snapshot_lifetime,
        settings.timestamp_lifetime,
    )


def exists(settings: Settings) -> bool:
    """Whether a repository was made with these settings."""
    storage = settings.storage
    return storage.database.exists() if storage.database_url is None else storage.master_key.exists()


def open_repository(settings: Settings, clock: Clock | None = None) -> Repository:
    """Open an existing data directory. Raises Broken when its master key is missing or another one."""
    clock = clock or SystemClock()
    storage = settings.storage
    catalog = backends.catalog(settings)
    master = keystore.MasterKey(storage.master_key)
    for key in authority.keys_of(catalog):
        master.unseal(key)
    clients = Clients(catalog, clock, master.derive("credentials"))
    views = SharedViews(storage.data_dir / "views")
    return Repository(settings, catalog, backends.blobs(settings), master, clients, clock, views)


def start(settings: Settings) -> tuple[Repository, Issued | None]:
    """What a server does first, and the first client where there is none; replicas take turns at it."""
    with backends.start_in_turn(settings):
        repository = prepare(settings)
        return repository, None if repository.clients.clients() else repository.clients.create_client("first")


def prepare(settings: Settings, clock: Clock | None = None) -> Repository:
    """Make or migrate the data directory, once, with nobody else on it. What a crash left is cleared."""
    storage = settings.storage
    tracing.require()
    if migrations.current(storage.catalog_url) is None:
        keystore.create_master_key(storage.master_key)
    migrations.upgrade(storage.catalog_url)
    (storage.data_dir / "views").unlink(missing_ok=True)
    repository = open_repository(settings, clock)
    repository.blobs.prepare()
    if not storage.has_object_store:
        backup.clear_abandoned(storage.blobs)
    if not authority.keys_of(repository.catalog):
        authority.create(repository.catalog, keystore.generate(repository.master), repository.clock)
    publisher, _ = repository.publisher()
    publisher.start()
    try:
        authority.publish_first(publisher, repository.shelving())
    finally:
        publisher.stop()
    return repository


def offload(repository: Repository, metadata: Metadata) -> Offload | None:
    """The copy for devices, where one is kept."""
    return background.offload(repository, metadata)


def write_backup(repository: Repository, target: Path, progress: Callable[[int], None]) -> int:
    """How many blobs went into the backup. Raises Broken for a catalog that has backups of its own."""
    if not isinstance(repository.catalog, SqliteCatalog):
        raise Broken("the catalog is in PostgreSQL: back it up with pg_dump, then copy the blobs")
    if not isinstance(repository.blobs, FileBlobStore):
        raise Broken("the blobs are in an object store: copy the bucket after the catalog")
    beside = repository.settings.storage.blobs
    blobs = backup.write(repository.catalog, repository.blobs, beside, target, progress)
    with suppress(Refusal), repository.catalog.write() as tx:
        tx.journal.record(repository.clock.now(), "otarium", "backup", target.name)
    return blobs


def web_app(settings: Settings) -> "Asgi":
    """The application of one worker process."""
    # Imported here because only workers need the web side; operator commands start in half the time.
    from otarium.web.app import make_app
    from otarium.web.context import Web
    from otarium.web.limits import Admission, Pace
    from otarium.web.meters import WorkerMeters
    from otarium.web.metrics import RecentContents

    meters, traces = WorkerMeters(), tracing.make()
    repository = _traced(open_repository(settings), traces)
    watching = Watching(meters, traces, repository.clock)
    publisher, metadata = repository.publisher(watching)
    metadata.refresh()
    http, uploads = settings.http, settings.uploads
    limits = Limits(uploads.max_package_bytes, uploads.reserve_bytes, uploads.reuse_deleted_versions)
    packages = Packages(repository.catalog, repository.blobs, publisher, repository.shelving(), limits)
    sources, refreshing = repository.sources(publisher, traces)
    offloading = background.offloading(repository, metadata, watching)
    schedules = background.schedules(
        repository, publisher, metadata, refreshing, watching, meters, offloading
    )
    started, stopped = _life(publisher, list(schedules), traces)
    leaving = partial(is_leaving, settings.storage.run_dir)
    inventory = repository.inventory()
    web = Web(
        packages=packages,
        uploads=Uploads(repository.catalog, repository.blobs, packages, limits, repository.sweep()),
        downloads=Downloads(repository.catalog, repository.clock, settings.metadata.deleted_grace),
        metadata=metadata,
        sources=sources,
        refreshing=refreshing,
        now=repository.clock.now,
        source_spelling=settings.sources.spelling,
        source_files=SourceFiles(repository.catalog, metadata),
        feed=Feed(repository.catalog, metadata),
        clients=repository.clients,
        blobs=repository.blobs,
        views=repository.views,
        health=Health(repository.catalog, repository.blobs, metadata, repository.clock, leaving, offloading),
        offloading=offloading,
        inventory=inventory,
        contents=RecentContents(inventory),
        meters=meters,
        traces=traces,
        logs_devices=settings.logs.devices,
        readers=ThreadPoolExecutor(http.reader_threads, "reader"),
        writers=ThreadPoolExecutor(http.upload_threads, "upload"),
        listers=ThreadPoolExecutor(http.list_threads, "list"),
        admission=Admission(uploads.max_uploads, meters.uploads),
        pace=Pace(uploads.upload_idle_seconds, uploads.upload_min_rate),
        base_url=http.base_url,
        token_path=http.token_path,
        device_header=http.device_header.encode() if http.device_header else None,
        devices_need_token=http.device_access == "token",
        targets_limit=repository.shelving().limits.top_bytes,
        started=started,
        stopped=stopped,
    )
    return make_app(web)


def _life(
    publisher: Publisher, schedules: Sequence[renewal.Schedule], traces: Traces
) -> tuple[Callable[[], None], Callable[[], None]]:
    """What begins and ends with a worker."""

    def started() -> None:
        publisher.start()
        for schedule in schedules:
            schedule.start()

    def stopped() -> None:
        for schedule in schedules:
            schedule.stop()
        publisher.stop()
        traces.close()

    return started, stopped


def _traced(repository: Repository, traces: Traces) -> Repository:
    if isinstance(traces, NoTraces):
        return repository
    system = "sqlite" if repository.settings.storage.database_url is None else "postgresql"
    return replace(
        repository,
        catalog=TracedCatalog(repository.catalog, traces, system),
        blobs=TracedBlobs(repository.blobs, traces),
    )
