"""Every adapter of a port, built on a temporary directory; a new adapter is one more line here."""

import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import obstore
import pytest
from moto.server import ThreadedMotoServer

from otarium.adapters import migrations
from otarium.adapters.blobs_files import FileBlobStore
from otarium.adapters.blobs_objects import ObjectBlobStore
from otarium.adapters.catalog import SqliteCatalog, SqliteChanges
from otarium.adapters.catalog_postgres import PostgresCatalog
from otarium.adapters.changes_postgres import PostgresChanges
from postgresql import Cluster, running_cluster
from seaweed import options, running_seaweed


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as running:
        yield running


@dataclass(frozen=True)
class Database:
    """An empty database, and how each of its adapters is opened."""

    url: str
    path: Path | None

    def catalog(self, **options: float) -> SqliteCatalog | PostgresCatalog:
        if self.path:
            return SqliteCatalog(self.path, **options)  # type: ignore[arg-type]
        return PostgresCatalog(self.url, **options)  # type: ignore[arg-type]

    def changes(self) -> SqliteChanges | PostgresChanges:
        return SqliteChanges(self.path) if self.path else PostgresChanges(self.url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        path = tmp_path / "catalog.sqlite"
        return Database(f"sqlite:///{path}", path)
    url = request.getfixturevalue("cluster").new_database()
    return Database(url.replace("postgresql://", "postgresql+psycopg://"), None)


@pytest.fixture
def catalog(database: Database) -> Iterator[SqliteCatalog | PostgresCatalog]:
    migrations.upgrade(database.url)
    made = database.catalog(readers=2)
    with made.write() as tx:
        tx.create_repository(0)
    yield made
    made.close()


@pytest.fixture
def changes(catalog: SqliteCatalog, database: Database) -> SqliteChanges | PostgresChanges:
    return database.changes()


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The endpoint of a server that speaks S3's protocol."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def seaweed() -> Iterator[dict[str, str]]:
    with running_seaweed() as reached:
        yield reached


@pytest.fixture(params=["files", "s3", "seaweed"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FileBlobStore | ObjectBlobStore]:
    name = f"bucket-{tmp_path.name}".replace("_", "-").lower()
    if request.param == "s3":
        yield from in_bucket(request.getfixturevalue("s3"), name)
        return
    if request.param == "seaweed":
        yield from _used(_opened(f"packages/{name}", options(request.getfixturevalue("seaweed"))))
        return
    store = FileBlobStore(tmp_path / "blobs")
    store.prepare()
    yield store
    assert not list((tmp_path / "blobs" / "staging").iterdir()), "something was left staged"


def in_bucket(endpoint: str, name: str, *, reads_back: bool = False) -> Iterator[ObjectBlobStore]:
    bucket = name[:60].strip("-")
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{bucket}", method="PUT")).close()
    given = {"endpoint": endpoint, "access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"}
    yield from _used(_opened(bucket, given, reads_back=reads_back))


def _opened(place: str, given: Mapping[str, str], *, reads_back: bool = False) -> ObjectBlobStore:
    return ObjectBlobStore(
        f"s3://{place}", reads_back=reads_back, client_options={"allow_http": True}, **given
    )


def _used(store: ObjectBlobStore) -> Iterator[ObjectBlobStore]:
    yield store
    names = [one["path"].split("/") for page in obstore.list(store._bucket.names) for one in page]
    arrived, claimed = ({name[-1] for name in names if name[0] == top} for top in ("arrived", "large"))
    assert arrived == claimed and not any(name[0] == "arriving" for name in names), "something was left"
