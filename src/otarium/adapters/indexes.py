"""The part of the schema that no statement names: indexes of some rows of a table, and how rows are stored.

Apart from `tables`, since to say it for a database loads all that SQLAlchemy knows of that database: a server
would start later and hold more in memory, for good.
"""

from typing import Any

from sqlalchemy import DDL, Column, Index, event, text

from otarium.adapters.tables import listing, metadata, role_files, words

__all__ = ["metadata"]


def _partial(name: str, *columns: Column[Any], where: str) -> None:
    """Of a condition that SQLite recognises in a query; of a comparison with a parameter it would not."""
    Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


_partial("words_of_odd_ids", words.c.number, where="odd_id IS NOT NULL")
_partial("role_files_newest", role_files.c.role, role_files.c.version, where="surplus_at IS NULL")
_partial(
    "role_files_surplus",
    role_files.c.surplus_at,
    role_files.c.version,
    where="surplus_at IS NOT NULL AND uptane IS NOT NULL",
)
# Blocks stay whole in their rows: put together from pieces elsewhere, they take four times as long.
_whole = DDL("ALTER TABLE listing SET (toast_tuple_target = 8160)")  # type: ignore[no-untyped-call]
event.listen(listing, "after_create", _whole.execute_if(dialect="postgresql"))
