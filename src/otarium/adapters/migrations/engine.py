"""Whoever changes the schema: DDL in one transaction, and one at a time."""

from sqlalchemy import Connection, Engine, create_engine, event

from otarium.adapters import tables

_ONE_AT_A_TIME = 7_205_759
"""Key of the advisory lock under which replicas that start together take turns (PostgreSQL)."""


def engine_of(url: str) -> Engine:
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _manual_transactions)
        event.listen(engine, "begin", _begin)
    else:
        event.listen(engine, "begin", _take_turn)
    return engine


def _manual_transactions(connection, _record):  # type: ignore[no-untyped-def]
    """The driver would commit before DDL; BEGIN by hand keeps DDL inside the transaction."""
    connection.isolation_level = None
    connection.execute(f"PRAGMA page_size={tables.SQLITE_PAGE_BYTES}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _take_turn(connection: Connection) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})")
