"""Every adapter of a port, built on a temporary directory; a new adapter is one more line here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from otarium.adapters import migrations
from otarium.adapters.blobs_files import FileBlobStore
from otarium.adapters.catalog import SqliteCatalog, SqliteChanges


@pytest.fixture(params=["sqlite"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteCatalog]:
    path = tmp_path / "catalog.sqlite"
    migrations.upgrade(path)
    made = SqliteCatalog(path, readers=2)
    with made.write() as tx:
        tx.create_repository(0)
    yield made
    made.close()


@pytest.fixture
def changes(catalog: SqliteCatalog, tmp_path: Path) -> SqliteChanges:
    return SqliteChanges(tmp_path / "catalog.sqlite")


@pytest.fixture(params=["files"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FileBlobStore]:
    store = FileBlobStore(tmp_path / "blobs")
    store.prepare()
    yield store
    assert not list((tmp_path / "blobs" / "staging").iterdir()), "something was left staged"
