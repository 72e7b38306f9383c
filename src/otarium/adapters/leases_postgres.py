"""Leases in PostgreSQL: a row per job, by the clock of the database, without the writer's lock.

`until` is when a holder is none any more, and for what goes by turns, when the next one is due.
"""

import secrets
import threading

import psycopg

from otarium.adapters.connections import conninfo
from otarium.domain.errors import Unavailable

_TAKE = """
INSERT INTO leases AS held (name, holder, until)
VALUES (%(name)s, %(holder)s, extract(epoch FROM clock_timestamp()) + %(seconds)s)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE held.holder = excluded.holder OR held.until < extract(epoch FROM clock_timestamp())
RETURNING 1
"""
_TURN = """
INSERT INTO leases AS had (name, holder, until)
VALUES (%(name)s, %(holder)s, extract(epoch FROM clock_timestamp()) + %(seconds)s)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE had.until NOT BETWEEN extract(epoch FROM clock_timestamp())
    AND extract(epoch FROM clock_timestamp()) + %(seconds)s
RETURNING 1
"""
_GIVE_UP = "DELETE FROM leases WHERE name = %s AND holder = %s"


class PostgresLeases:
    """Over one connection of its own; a holder that is not heard of for `seconds` is none any more."""

    def __init__(self, url: str, seconds: float) -> None:
        self._conninfo = conninfo(url)
        self._seconds = seconds
        self._holder = secrets.token_hex(16)
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None
        self._lock = threading.Lock()

    def holds(self, name: str) -> bool:
        asked = {"name": name, "holder": self._holder, "seconds": self._seconds}
        return self._execute(_TAKE, asked).fetchone() is not None

    def turn(self, name: str, seconds: float) -> bool:
        asked = {"name": name, "holder": self._holder, "seconds": seconds}
        return self._execute(_TURN, asked).fetchone() is not None

    def give_up(self, name: str) -> None:
        self._execute(_GIVE_UP, (name, self._holder))

    def _execute(
        self, statement: str, values: dict[str, object] | tuple[str, str]
    ) -> "psycopg.Cursor[tuple[object, ...]]":
        with self._lock:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = psycopg.connect(self._conninfo, autocommit=True)
                return self._connection.execute(statement, values)
            except psycopg.Error as error:
                if self._connection is not None:
                    self._connection.close()
                raise Unavailable("The catalog cannot be reached.", retry_after=5) from error
