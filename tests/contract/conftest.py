"""Every adapter of a port, built on a temporary directory; a new adapter is one more line here."""

import urllib.request
from collections.abc import Iterator
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


@pytest.fixture(params=["files", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FileBlobStore | ObjectBlobStore]:
    if request.param == "s3":
        yield from in_bucket(
            request.getfixturevalue("s3"), f"bucket-{tmp_path.name}".replace("_", "-").lower()
        )
        return
    store = FileBlobStore(tmp_path / "blobs")
    store.prepare()
    yield store
    assert not list((tmp_path / "blobs" / "staging").iterdir()), "something was left staged"


def in_bucket(endpoint: str, name: str, *, reads_back: bool = False) -> Iterator[ObjectBlobStore]:
    bucket = name[:60].strip("-")
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{bucket}", method="PUT")).close()
    options = {"endpoint": endpoint, "access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"}
    store = ObjectBlobStore(
        f"s3://{bucket}", reads_back=reads_back, client_options={"allow_http": True}, **options
    )
    yield store
    names = [one["path"].split("/") for page in obstore.list(store._bucket.names) for one in page]
    arrived, claimed = ({name[-1] for name in names if name[0] == top} for top in ("arrived", "large"))
    assert arrived == claimed and not any(name[0] == "arriving" for name in names), "something was left"
