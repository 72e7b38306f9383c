"""Alembic's entry: one transaction for all migrations, so a killed one leaves the old schema."""

from alembic import context

from otarium.adapters import indexes
from otarium.adapters.migrations.engine import engine_of

engine = engine_of(context.config.attributes["url"])
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=indexes.metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
