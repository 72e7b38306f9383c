"""Whether a text holds another one, literally: a function with another name in every database."""

from typing import Any

from sqlalchemy import Boolean, ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class _Holds(FunctionElement[bool]):
    type = Boolean()
    inherit_cache = True


def holds(column: ColumnElement[Any], part: str) -> ColumnElement[bool]:
    return _Holds(column, part)


@compiles(_Holds)
def _sqlite(element: _Holds, compiler: SQLCompiler, **options: Any) -> str:
    return f"instr({compiler.process(element.clauses, **options)}) > 0"


@compiles(_Holds, "postgresql")
def _postgresql(element: _Holds, compiler: SQLCompiler, **options: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **options)}) > 0"
