"""Durable commits of a database, one after another: what a release costs at the least."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg

COMMITS = 200
_TABLE = "CREATE TABLE IF NOT EXISTS commits (pk INTEGER PRIMARY KEY, value TEXT)"


def sqlite(path: Path) -> float:
    """Small inserts per second, each in a transaction of its own that survives a power cut."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(_TABLE)
        return _rate(lambda n: connection.execute("INSERT INTO commits VALUES (?, 'row')", (n,)))


def postgresql(url: str) -> float:
    """The same, in a table of this database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_TABLE)
        connection.execute("TRUNCATE commits")
        return _rate(lambda n: connection.execute("INSERT INTO commits VALUES (%s, 'row')", (n,)))


def _rate(commit: Callable[[int], object]) -> float:
    started = time.perf_counter()
    for number in range(COMMITS):
        commit(number)
    return COMMITS / (time.perf_counter() - started)
