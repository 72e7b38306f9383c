"""What other processes committed to PostgreSQL: a thread listens, so that a GET costs nothing."""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from otarium.adapters.connections import conninfo
from otarium.domain.errors import Unavailable

log = logging.getLogger(__name__)

CHANNEL = "otarium"
POLL_SECONDS = 0.5
SILENT_SECONDS = 3.0
"""A database that was not heard of for so long is away, whatever its connection says."""
CUT_SECONDS = 10.0
"""After so long another connection is tried."""


class PostgresChanges:
    """A number that rises when another process may have committed: on NOTIFY, and when a poll sees it."""

    def __init__(self, url: str) -> None:
        self._conninfo = conninfo(url)
        self._version = 0
        self._alive = False
        self._heard = 0.0
        self._lock = threading.Lock()
        self._started = False
        self._line: socket.socket | None = None

    def version(self) -> int:
        """Costs nothing: a thread listens. Raises Unavailable while the database is away, or silent."""
        with self._lock:
            if not self._started:
                self._started = True
                self._look()
                threading.Thread(target=self._listen, name="changes", daemon=True).start()
        silent = time.monotonic() - self._heard
        if silent > CUT_SECONDS:
            self._cut()
        if not self._alive or silent > SILENT_SECONDS:
            raise Unavailable("The catalog cannot be read.", retry_after=5)
        return self._version

    def _look(self) -> None:
        with suppress(psycopg.Error), psycopg.connect(self._conninfo, autocommit=True) as connection:
            self._poll(connection, None)

    def _listen(self) -> None:
        while True:
            try:
                with (
                    psycopg.connect(self._conninfo, autocommit=True) as connection,
                    self._within_reach(connection),
                ):
                    connection.execute(f"LISTEN {CHANNEL}")
                    seen: object = None
                    while True:
                        seen = self._poll(connection, seen)
                        for _ in connection.notifies(timeout=POLL_SECONDS, stop_after=1):
                            self._version += 1
            except (psycopg.Error, OSError):
                if self._alive:
                    log.warning("the database cannot be reached; devices get what was committed last")
                self._alive = False
                threading.Event().wait(POLL_SECONDS)

    def _poll(self, connection: "psycopg.Connection[Any]", seen: object) -> object:
        """A notification may be lost; the counters are not."""
        counters = "SELECT revision, root, targets, snapshot, timestamp FROM repository"
        found = connection.execute(counters).fetchone()
        if found != seen:
            self._version += 1
        self._alive, self._heard = True, time.monotonic()
        return found

    @contextmanager
    def _within_reach(self, connection: "psycopg.Connection[Any]") -> Iterator[None]:
        """The listening thread may wait for ever where something on the way acknowledges and does no more."""
        line = socket.socket(fileno=os.dup(connection.fileno()))
        with self._lock:
            self._line = line
        try:
            yield
        finally:
            with self._lock:
                self._line = None
                line.close()

    def _cut(self) -> None:
        with self._lock, suppress(OSError):
            if self._line is not None:
                self._line.shutdown(socket.SHUT_RDWR)
