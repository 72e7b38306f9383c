"""The catalog on PostgreSQL: as many processes and machines as there are replicas, one writer at a time.

READ COMMITTED, and the first statement of a writer locks the repository row; so whoever gets it sees what
the last one committed. Nobody waits, holds a lock or idles in a transaction for longer than its timeouts:
a frozen replica stops the others for that long at most.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString

import msgspec
import psycopg
from psycopg import errors as pg
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as NoConnection

from otarium.adapters.changes_postgres import CHANNEL
from otarium.adapters.connections import conninfo, watched
from otarium.adapters.transaction import SqlTransaction
from otarium.domain.errors import Broken, Invalid, StorageFull, Unavailable
from otarium.domain.names import SourceName
from otarium.services.ports import Transaction

BUSY_SECONDS = 5
IDLE_SECONDS = 10
_SPARE_CONNECTIONS = 2
_LOCKED = "SELECT namespace FROM repository FOR UPDATE"
_BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_BEGIN_WRITING = {
    True: f"BEGIN ISOLATION LEVEL READ COMMITTED; {_LOCKED}",
    False: f"BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = off; {_LOCKED}",
}
"""By durability; in one journey."""
_HOLDERS_KEEPALIVE = {"tcp_keepalives_idle": 10, "tcp_keepalives_interval": 5, "tcp_keepalives_count": 3}
"""Else the server would notice after hours that a holder's machine is gone."""
_LOST = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    pg.ReadOnlySqlTransaction,
    pg.IdleInTransactionSessionTimeout,
)
"""What a statement raises when there is no connection any more, or none to where one may write."""


class PostgresCatalog:
    """Safe for any number of threads, processes and machines."""

    def __init__(
        self,
        url: str,
        *,
        readers: int = 8,
        busy_seconds: float = BUSY_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._engine = _engine(url, readers + _SPARE_CONNECTIONS, busy_seconds, idle_seconds)
        self._writer = threading.Lock()
        self._busy_seconds = busy_seconds

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        with _translated(), self._begun(_BEGIN_READING) as connection:
            yield SqlTransaction(connection)
            # Not ROLLBACK: at that psycopg forgets the statements that are prepared.
            _driver(connection).execute("COMMIT")

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Transaction]:
        with _translated(), self._turn(), self._begun(_BEGIN_WRITING[durable]) as connection:
            transaction = SqlTransaction(connection)
            yield transaction
            transaction.settle()
            _driver(connection).execute(f"NOTIFY {CHANNEL}; COMMIT")

    @contextmanager
    def _begun(self, begin: str) -> Iterator[Connection]:
        """A connection with a transaction, which is rolled back unless the block ended it."""
        with self._engine.connect() as connection:
            try:
                connection.exec_driver_sql(begin)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                # The server closed it, and with it perhaps all that idled here: those are given up.
                connection.rollback()
                connection.exec_driver_sql(begin)
            driver = _driver(connection)
            try:
                yield connection
            finally:
                try:
                    driver.rollback()
                except psycopg.Error:
                    connection.invalidate()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Threads of one process take turns here, so that they use one connection between them."""
        if not self._writer.acquire(timeout=self._busy_seconds):
            raise _busy()
        try:
            yield
        finally:
            self._writer.release()

    def checkpoint(self) -> None:
        """PostgreSQL does that by itself."""


class PostgresLocks:
    """One holder among all replicas; the server lets go when a holder's connection dies."""

    def __init__(self, url: str, kind: str) -> None:
        """Names of one `kind` are apart from those of another."""
        self._conninfo = conninfo(url)
        self._kind = kind

    @contextmanager
    def held(self, name: SourceName) -> Iterator[None]:
        with self._asked("SELECT pg_advisory_lock(hashtextextended(%s, 0))", name):
            yield

    @contextmanager
    def tried(self, name: str) -> Iterator[bool]:
        with self._asked("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", name) as locked:
            yield bool(locked)

    @contextmanager
    def _asked(self, statement: LiteralString, name: str) -> Iterator[object]:
        """What the statement answers, on a connection that is open meanwhile."""
        try:
            connection = psycopg.connect(self._conninfo, autocommit=True)
            for setting, seconds in _HOLDERS_KEEPALIVE.items():
                connection.execute(f"SET {setting} = {seconds}")
            [answer] = connection.execute(statement, (f"{self._kind}:{name}",)).fetchone() or [None]
        except psycopg.Error as error:
            raise Unavailable("The catalog cannot be reached.", retry_after=5) from error
        with connection:
            yield answer


@contextmanager
def start_in_turn(url: str) -> Iterator[None]:
    """Replicas that start together find or make one repository, one after another."""
    try:
        connection = psycopg.connect(conninfo(url), autocommit=True)
    except psycopg.OperationalError as error:
        raise Broken(f"the database cannot be reached: {error}") from None
    with connection:
        connection.execute("SELECT pg_advisory_lock(hashtextextended('start', 0))")
        yield


def _engine(url: str, connections: int, busy_seconds: float, idle_seconds: float) -> Engine:
    timeouts = {"lock_timeout": busy_seconds, "idle_in_transaction_session_timeout": idle_seconds}
    options = " ".join(f"-c {name}={int(seconds * 1000)}" for name, seconds in timeouts.items())
    return create_engine(
        watched(url, "postgresql+psycopg", options),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=busy_seconds,
        pool_use_lifo=True,  # the one used last has its statements prepared
        isolation_level="AUTOCOMMIT",
        json_deserializer=msgspec.json.decode,
    )


def _driver(connection: Connection) -> "psycopg.Connection[tuple[object, ...]]":
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)  # noqa: S101 - the engine above makes nothing else
    return raw


def _busy() -> Unavailable:
    return Unavailable("Another change is taking long; try again in a moment.")


def _lost() -> Unavailable:
    return Unavailable("The catalog is busy or cannot be reached.", retry_after=5)


@contextmanager
def _translated() -> Iterator[None]:
    """Database failures in our words."""
    try:
        yield
    except NoConnection as error:
        raise Unavailable("Too many requests use the catalog at once; try again in a moment.") from error
    except PendingRollbackError as error:  # something was asked of a connection after it had been lost
        raise _lost() from error
    except (DBAPIError, psycopg.Error) as error:
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise _lost() from error
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, pg.LockNotAvailable):
            raise _busy() from error
        if isinstance(cause, psycopg.DataError):
            raise Invalid("The request contains text that cannot be kept, such as U+0000.") from error
        if isinstance(cause, pg.DiskFull):
            raise StorageFull("The disk of the catalog is full; free some space.", retry_after=30) from error
        if isinstance(cause, _LOST):
            raise _lost() from error
        raise
