"""One open transaction of any database: the nouns over one connection."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, insert, update

from otarium.adapters import tables
from otarium.adapters.reindex import SearchIndex
from otarium.adapters.rows_access import CredentialRows, JournalRows, KeyTable
from otarium.adapters.rows_packages import PackageRows
from otarium.adapters.rows_shelves import ShelfRows
from otarium.adapters.rows_sources import SourceRows
from otarium.adapters.rows_storage import BlobRows, RoleRows
from otarium.domain.roles import TARGETS
from otarium.domain.shelves import Shelf


class SqlTransaction:
    """The nouns of one open transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.packages = PackageRows(connection)
        self.searching = SearchIndex(connection)
        self.roles = RoleRows(connection)
        self.blobs = BlobRows(connection)
        self.credentials = CredentialRows(connection)
        self.journal = JournalRows(connection)
        self.keys = KeyTable(connection)
        self.sources = SourceRows(connection)
        self.shelves = ShelfRows(connection)

    def create_repository(self, at: int) -> None:
        counters = dict.fromkeys(("revision", "root", "targets", "snapshot", "timestamp", "kept_bytes"), 0)
        row = insert(tables.repository).values(namespace="default", created_at=at, **counters)
        self._connection.execute(row)
        self.shelves.open(Shelf(TARGETS, TARGETS))

    def settle(self) -> None:
        """What is done once for all changes; call it before the commit."""
        self.packages.settle()

    def probe(self) -> None:
        same = tables.repository.c.revision
        self._connection.execute(update(tables.repository).values(revision=same))

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        self._connection.exec_driver_sql("SAVEPOINT change")
        try:
            with self.packages.forgetting():
                yield
        except BaseException:
            self._connection.exec_driver_sql("ROLLBACK TO change")
            raise
        finally:
            self._connection.exec_driver_sql("RELEASE change")
