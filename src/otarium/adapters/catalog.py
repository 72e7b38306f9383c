"""The catalog on SQLite: real transactions, one writer at a time.

The driver is left in autocommit and every transaction is opened by hand: left to its default, the
driver would commit at the first released savepoint. An OS file lock is taken before BEGIN IMMEDIATE,
because SQLite's own busy handler polls and starves waiters.
"""

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from queue import Empty, PriorityQueue

import msgspec
from sqlalchemy import Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from otarium.adapters.transaction import SqlTransaction
from otarium.domain.errors import StorageFull, Unavailable
from otarium.domain.names import OWN_SOURCE, Sha256
from otarium.services.ports import Transaction

BUSY_SECONDS = 5
_POLL_SECONDS = 0.001
_BUSIEST, _CACHE_KIB = 4, 16_384
"""Connections that are used nearly always, and the pages that each keeps; the others have SQLite's 2 MiB.
Were theirs as large, they would fill for hours, and memory with them."""
_FULL = {sqlite3.SQLITE_FULL}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class SqliteCatalog:
    """The catalog in one SQLite file. Safe for any number of threads and processes of one machine."""

    def __init__(self, path: Path, *, readers: int = 8, busy_seconds: float = BUSY_SECONDS) -> None:
        """`readers` transactions may be open at once; a writer waits `busy_seconds` for its turn."""
        self._busy_seconds = busy_seconds
        self._connections = _Connections(_engine(path, busy_seconds), readers + 2, busy_seconds)
        self._turnstile, self._lock = path.with_suffix(".turnstile"), path.with_suffix(".lock")
        self._writer = threading.Lock()

    def close(self) -> None:
        self._connections.close()

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        with _translated(), self._connections.one() as connection:
            driver = _driver(connection)
            driver.execute("BEGIN")
            try:
                yield SqlTransaction(connection)
            finally:
                driver.execute("ROLLBACK")

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Transaction]:
        with _translated(), self._exclusive(), self._connections.one() as connection:
            driver = _driver(connection)
            driver.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            driver.execute("BEGIN IMMEDIATE")
            try:
                transaction = SqlTransaction(connection)
                yield transaction
                transaction.settle()
                driver.execute("COMMIT")
            except BaseException:
                _rollback(driver)
                raise

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """One writer of this process, then one of the machine; nobody waits longer than `busy_seconds`.

        Whoever waits for the lock holds the turnstile, so a busy writer cannot take the lock again
        before everybody who waited has had a turn.
        """
        deadline = time.monotonic() + self._busy_seconds
        if not self._writer.acquire(timeout=self._busy_seconds):
            raise _busy()
        try:
            with ExitStack() as held:
                turnstile = held.enter_context(_locked(self._turnstile, deadline))
                held.enter_context(_locked(self._lock, deadline))
                fcntl.flock(turnstile, fcntl.LOCK_UN)
                yield
        finally:
            self._writer.release()

    def checkpoint(self) -> None:
        """Move committed pages from the log into the database file, without waiting for anybody."""
        with _translated(), self._connections.one() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")

    def copy_to(self, target: Path) -> list[Sha256]:
        """A consistent copy of the database while others write; answers the blobs that it lists."""
        with self._connections.one() as connection, closing(sqlite3.connect(target)) as copy:
            _driver(connection).backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
            listed = (
                "SELECT DISTINCT sha256 FROM packages WHERE location IS NULL AND source = ? ORDER BY sha256"
            )
            return [Sha256(row[0]) for row in copy.execute(listed, (OWN_SOURCE,))]


class _Connections:
    """Kept open, and the first that is idle is taken: what it read is still in its cache. A pool of
    SQLAlchemy puts one together anew each time, which is a part of a page that can be seen."""

    def __init__(self, engine: Engine, most: int, patience: float) -> None:
        """`most` of them at once; whoever comes after waits `patience` seconds."""
        self._engine, self._patience = engine, patience
        self._idle: PriorityQueue[tuple[int, Connection | None]] = PriorityQueue()
        for number in range(most):
            self._idle.put((number, None))

    @contextmanager
    def one(self) -> Iterator[Connection]:
        try:
            number, connection = self._idle.get(timeout=self._patience)
        except Empty:
            raise Unavailable("Too many requests use the catalog at once; try again in a moment.") from None
        try:
            connection = connection or self._opened(number)
            yield connection
        finally:
            self._idle.put((number, connection))

    def _opened(self, number: int) -> Connection:
        connection = self._engine.connect()
        if number < _BUSIEST:
            connection.exec_driver_sql(f"PRAGMA cache_size=-{_CACHE_KIB}")
        return connection

    def close(self) -> None:
        while not self._idle.empty():
            _, connection = self._idle.get()
            if connection:
                connection.close()


class SqliteChanges:
    """`PRAGMA data_version` on a connection of its own: microseconds, and it sees every commit."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._cursor = self._connection.cursor()
        self._lock = threading.Lock()

    def version(self) -> int:
        try:
            with self._lock:
                return int(self._cursor.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error as error:
            raise Unavailable("The catalog cannot be read.", retry_after=30) from error


@contextmanager
def _locked(path: Path, deadline: float) -> Iterator[int]:
    """An exclusive lock on a file, which the kernel drops when its holder dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise _busy() from None
                time.sleep(_POLL_SECONDS)
        yield descriptor
    finally:
        os.close(descriptor)


def _busy() -> Unavailable:
    return Unavailable("Another change is taking long; try again in a moment.")


def _engine(path: Path, busy_seconds: float) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        json_deserializer=msgspec.json.decode,
        connect_args={"timeout": busy_seconds, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        for pragma in (
            "journal_mode=WAL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "wal_autocheckpoint=8192",
            "journal_size_limit=67108864",
        ):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _rollback(driver: sqlite3.Connection) -> None:
    """SQLite rolls back by itself on some errors; then there is nothing left to roll back."""
    if driver.in_transaction:
        driver.execute("ROLLBACK")


def _driver(connection: Connection) -> sqlite3.Connection:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)  # noqa: S101 - the engine below makes nothing else
    return raw


@contextmanager
def _translated() -> Iterator[None]:
    """Database failures in our words."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        if code in _FULL:
            raise StorageFull("The disk of the catalog is full; free some space.", retry_after=30) from error
        if code in _CORRUPT:
            raise Unavailable("The catalog is damaged; restore a backup.", retry_after=60) from error
        if isinstance(cause, sqlite3.OperationalError):
            raise Unavailable("The catalog is busy or cannot be reached.", retry_after=5) from error
        raise
