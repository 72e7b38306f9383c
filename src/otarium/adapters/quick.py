"""Statements of every page, on the driver's own cursor: SQLAlchemy writes them, once."""

from typing import Any

from sqlalchemy import Connection, Executable
from sqlalchemy.sql.elements import ClauseElement


class Quick:
    """A statement whose rows come as plain tuples. Parameters are given by name, each of a plain type."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {}

    def rows(self, connection: Connection, /, **parameters: Any) -> list[tuple[Any, ...]]:
        dialect = connection.dialect.name
        known = self._compiled.get(dialect)
        text, order, fixed = known or self._compile(connection)
        given = {**fixed, **parameters}
        driver: Any = connection.connection.driver_connection
        if dialect == "postgresql":
            # Binary, as blocks of the listing would otherwise travel as hexadecimal text.
            found = driver.cursor(binary=True).execute(text, given)
        else:
            found = driver.execute(text, [given[name] for name in order])
        return list(found.fetchall())

    def _compile(self, connection: Connection) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        assert isinstance(self._statement, ClauseElement)  # noqa: S101 - every select is one
        compiled = self._statement.compile(dialect=connection.dialect)
        order = tuple(getattr(compiled, "positiontup", None) or ())
        made = (str(compiled), order, dict(compiled.params))
        self._compiled[connection.dialect.name] = made
        return made
