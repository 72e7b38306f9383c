"""Which adapters the settings ask for: SQLite and a directory, or PostgreSQL and an object store."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from otarium.adapters.blobs_files import FileBlobStore
from otarium.adapters.catalog import SqliteCatalog, SqliteChanges
from otarium.adapters.locks import FileLeases, FileLocks
from otarium.services.leases import LEASE_SECONDS, Leases
from otarium.services.ports import Changes
from otarium.settings import Settings

if TYPE_CHECKING:
    from otarium.adapters.blobs_objects import ObjectBlobStore
    from otarium.adapters.catalog_postgres import PostgresCatalog, PostgresLocks
    from otarium.services.ports_offload import OffloadTarget


def catalog(settings: Settings) -> "SqliteCatalog | PostgresCatalog":
    storage, readers = settings.storage, settings.http.reader_threads
    if storage.database_url is None:
        return SqliteCatalog(storage.database, readers=readers)
    from otarium.adapters.catalog_postgres import PostgresCatalog

    return PostgresCatalog(storage.catalog_url, readers=readers)


def start_in_turn(settings: Settings) -> AbstractContextManager[None]:
    """Nobody else makes or migrates this repository. Raises Broken when the database cannot be reached."""
    storage = settings.storage
    if storage.database_url is None:
        return nullcontext()  # whoever serves has locked the data directory
    from otarium.adapters.catalog_postgres import start_in_turn

    return start_in_turn(storage.catalog_url)


def blobs(settings: Settings) -> "FileBlobStore | ObjectBlobStore":
    storage = settings.storage
    if storage.blobs_url is None or not storage.has_object_store:
        shared, by_proxy = storage.blobs_url is not None, storage.downloads == "nginx"
        return FileBlobStore(storage.blobs, shared=shared, by_proxy=by_proxy)
    from otarium.adapters.blobs_objects import ObjectBlobStore

    return ObjectBlobStore(
        storage.blobs_url,
        links=storage.downloads == "links",
        links_endpoint=storage.links_endpoint,
        directory=storage.data_dir / "arriving",
    )


def changes(settings: Settings) -> Changes:
    storage = settings.storage
    if storage.database_url is None:
        return SqliteChanges(storage.database)
    from otarium.adapters.changes_postgres import PostgresChanges

    return PostgresChanges(storage.catalog_url)


def locks(settings: Settings, kind: str) -> "FileLocks | PostgresLocks":
    """Names of one kind are apart from those of another."""
    storage = settings.storage
    if storage.database_url is None:
        return FileLocks(storage.data_dir / f"{kind}-locks")
    from otarium.adapters.catalog_postgres import PostgresLocks

    return PostgresLocks(storage.catalog_url, kind)


def leases(settings: Settings) -> Leases:
    storage = settings.storage
    if storage.database_url is None:
        return FileLeases(storage.data_dir / "leases")
    from otarium.adapters.leases_postgres import PostgresLeases

    return PostgresLeases(storage.catalog_url, LEASE_SECONDS)


def offload_target(settings: Settings) -> "OffloadTarget | None":
    storage = settings.storage
    if storage.offload_url is None:
        return None
    if storage.offload_url.startswith("file://"):
        from otarium.adapters.offload_files import FileOffload

        link = None if storage.has_object_store else FileBlobStore(storage.blobs).link
        return FileOffload(Path(storage.offload_url.removeprefix("file://")), link)
    from otarium.adapters.offload_objects import ObjectOffload

    return ObjectOffload(storage.offload_url)
