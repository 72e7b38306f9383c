"""Statements of every page and every upload, on the driver's own cursor: SQLAlchemy writes them, once."""

from typing import Any

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.sql.elements import ClauseElement


class Quick:
    """Rows come as plain tuples. Parameters are given by name, each of a plain type."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, dict[str, Any]]] = {}

    def rows(self, connection: Connection, /, **parameters: Any) -> list[tuple[Any, ...]]:
        """Of a statement that has some, were it none this time."""
        found: list[tuple[Any, ...]] = self._executed(connection, parameters).fetchall()
        return found

    def run(self, connection: Connection, /, **parameters: Any) -> None:
        """A statement that has no rows."""
        self._executed(connection, parameters)

    def _executed(self, connection: Connection, parameters: dict[str, Any]) -> Any:
        dialect = connection.dialect
        text, fixed = self._compiled.get(dialect.name) or self._compile(dialect)
        driver: Any = connection.connection.driver_connection
        if dialect.name == "postgresql":
            # Binary, as blocks of the listing would otherwise travel as hexadecimal text.
            driver = driver.cursor(binary=True)
        return driver.execute(text, {**fixed, **parameters})

    def _compile(self, dialect: Dialect) -> tuple[str, dict[str, Any]]:
        """Written with names, which both drivers take."""
        assert isinstance(self._statement, ClauseElement)  # noqa: S101 - every select is one
        style = "pyformat" if dialect.name == "postgresql" else "named"
        kind: Any = type(dialect)
        compiled = self._statement.compile(dialect=kind(paramstyle=style))
        made = (str(compiled), dict(compiled.params))
        self._compiled[dialect.name] = made
        return made
