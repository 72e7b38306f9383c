"""Alembic's entry: one transaction for all migrations, so a killed one leaves the old schema."""

from alembic import context
from sqlalchemy import create_engine, event

from otarium.adapters import indexes, tables

_ONE_AT_A_TIME = 7_205_759
"""Key of the advisory lock under which replicas that start together take turns (PostgreSQL)."""

engine = create_engine(context.config.attributes["url"])

if engine.dialect.name == "sqlite":

    @event.listens_for(engine, "connect")
    def _manual_transactions(connection, _record):  # type: ignore[no-untyped-def]
        """The driver would commit before DDL; BEGIN by hand keeps DDL inside the transaction."""
        connection.isolation_level = None
        connection.execute(f"PRAGMA page_size={tables.SQLITE_PAGE_BYTES}")

    @event.listens_for(engine, "begin")
    def _begin(connection):  # type: ignore[no-untyped-def]
        connection.exec_driver_sql("BEGIN IMMEDIATE")

else:

    @event.listens_for(engine, "begin")
    def _take_turn(connection):  # type: ignore[no-untyped-def]
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})")


with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=indexes.metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
