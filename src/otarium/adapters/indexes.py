"""The part of the schema that no statement names: indexes of some rows of a table.

Apart from `tables`, since to say it for a database loads all that SQLAlchemy knows of that database: a server
would start later and hold more in memory, for good.
"""

from typing import Any

from sqlalchemy import Column, Index, text

from otarium.adapters.tables import metadata, role_files, words

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
