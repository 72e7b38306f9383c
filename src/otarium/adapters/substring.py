"""Whether a text holds another one, literally: functions with another name in every database."""

from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class _Condition(FunctionElement[Any]):
    """Of no type: what is boolean gets `= 1` on SQLite, which costs there what it compares."""

    inherit_cache = True


class _Holds(_Condition):
    inherit_cache = True


class _EndsWith(_Condition):
    inherit_cache = True


class _BeginsWith(_Condition):
    inherit_cache = True


def holds(column: ColumnElement[Any], part: ColumnElement[str]) -> ColumnElement[Any]:
    return _Holds(column, part)


def ends_with(column: ColumnElement[Any], part: ColumnElement[str]) -> ColumnElement[Any]:
    """The part is not empty."""
    return _EndsWith(column, part)


def begins_with(column: ColumnElement[Any], part: ColumnElement[str]) -> ColumnElement[Any]:
    """The part is not empty."""
    return _BeginsWith(column, part)


def _arguments(element: FunctionElement[Any], compiler: SQLCompiler, options: Any) -> tuple[str, str]:
    column, part = (compiler.process(one, **options) for one in element.clauses)
    return column, part


@compiles(_Holds)
def _sqlite_holds(element: _Holds, compiler: SQLCompiler, **options: Any) -> str:
    column, part = _arguments(element, compiler, options)
    return f"instr({column}, {part}) > 0"


@compiles(_Holds, "postgresql")
def _postgresql_holds(element: _Holds, compiler: SQLCompiler, **options: Any) -> str:
    column, part = _arguments(element, compiler, options)
    return f"strpos({column}, {part}) > 0"


@compiles(_EndsWith)
def _sqlite_ends(element: _EndsWith, compiler: SQLCompiler, **options: Any) -> str:
    column, part = _arguments(element, compiler, options)
    return f"substr({column}, -length({part})) = {part}"


@compiles(_EndsWith, "postgresql")
def _postgresql_ends(element: _EndsWith, compiler: SQLCompiler, **options: Any) -> str:
    column, part = _arguments(element, compiler, options)
    return f"right({column}, length({part})) = {part}"


@compiles(_BeginsWith)
def _begins(element: _BeginsWith, compiler: SQLCompiler, **options: Any) -> str:
    column, part = _arguments(element, compiler, options)
    return f"substr({column}, 1, length({part})) = {part}"
