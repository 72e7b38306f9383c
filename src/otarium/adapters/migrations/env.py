"""Alembic's entry: one transaction for all migrations, so a killed one leaves the old schema."""

from alembic import context
from sqlalchemy import create_engine, event

from otarium.adapters import tables

engine = create_engine(context.config.attributes["url"])


@event.listens_for(engine, "connect")
def _manual_transactions(connection, _record):  # type: ignore[no-untyped-def]
    """The driver would commit before DDL; BEGIN by hand keeps DDL inside the transaction."""
    connection.isolation_level = None
    connection.execute(f"PRAGMA page_size={tables.SQLITE_PAGE_BYTES}")


@event.listens_for(engine, "begin")
def _begin(connection):  # type: ignore[no-untyped-def]
    connection.exec_driver_sql("BEGIN IMMEDIATE")


with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=tables.metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
