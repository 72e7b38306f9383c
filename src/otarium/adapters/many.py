"""Many numbers as one parameter, the text of a list of them, which is JSON: a table to join, in their order.

So there is one statement for however many, and nothing is made for each of them.
"""

from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import TableValuedAlias


class _Many(FunctionElement[Any]):
    inherit_cache = True


def many(parameter: ColumnElement[str]) -> TableValuedAlias:
    """Its columns are `key`, the place in the list, and `value`."""
    return _Many(parameter).table_valued("key", "value", name="many")


@compiles(_Many)
def _sqlite(element: _Many, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(_Many, "postgresql")
def _postgresql(element: _Many, compiler: SQLCompiler, **options: Any) -> str:
    array = f"translate({compiler.process(element.clauses, **options)}, '[]', '{{}}')::int[]"
    return f"(SELECT key, value FROM unnest({array}) WITH ORDINALITY AS numbered (value, key))"  # noqa: S608
