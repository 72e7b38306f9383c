"""A walk over a long list, a chunk at a time: nothing is kept between two chunks but the last key."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
from sqlalchemy import Connection, bindparam, select, tuple_

from otarium.adapters import tables
from otarium.adapters.filters import Clause, clauses, columns_of, passing
from otarium.adapters.listing import LOW, Key, between
from otarium.adapters.quick import Quick
from otarium.adapters.search import joined, listed, stated
from otarium.domain.listed import Listed
from otarium.domain.names import SourceName
from otarium.domain.packages import PackageQuery
from otarium.services.ports import Cursor

_P = tables.packages
_L = tables.listing
_KEY = (_L.c.created_at, _L.c.package_id, _L.c.source)
_FIRST_BLOCKS = 2
_GROWTH = 4
_PLACE = select(_P.c.created_at, _P.c.package_id, _P.c.source)


def chunk(
    connection: Connection, query: PackageQuery, cursor: Cursor, skip: int, size: int
) -> tuple[list[Listed], Cursor]:
    """The next `size` after the cursor and `skip` more, and the cursor after them."""
    required = clauses(connection, query)
    if not all(required):
        return [], cursor
    if query.ids or query.hashes:
        beyond = _stated_beyond(connection, query, required, cursor)
    else:
        beyond = _beyond(connection, query, required, cursor)
    pks = list(islice(beyond, skip, skip + size))
    if not pks:
        return [], cursor
    last = connection.execute(_PLACE.where(_P.c.pk == pks[-1])).one()
    moved = Cursor(cursor.upper_bound, last.created_at, last.package_id, SourceName(last.source))
    return listed(connection, pks), moved


def _key_of(query: PackageQuery, cursor: Cursor) -> Key | None:
    """Of the last package that was handed out."""
    if cursor.id is None:
        return None
    return Key(cursor.created_at, cursor.id, cursor.source).of(query.sort_by)


def _stated_beyond(
    connection: Connection, query: PackageQuery, required: Sequence[Clause], cursor: Cursor
) -> Iterator[int]:
    last = _key_of(query, cursor)
    for key, pk in stated(connection, query, required):
        beyond = last is None or (key > last if query.ascending else key < last)
        if beyond and pk <= cursor.upper_bound:
            yield pk


def _beyond(
    connection: Connection, query: PackageQuery, required: Sequence[Clause], cursor: Cursor
) -> Iterator[int]:
    """What passes, block by block: a few are read at first, then more and more until enough is found."""
    last, columns = _key_of(query, cursor), columns_of(required)
    started = _start(connection, query, last)
    if started is None:
        return
    bounds, done = started
    statement = _blocks(query.ascending, bool(bounds), "pks", *columns)
    count, skip = _FIRST_BLOCKS, 0
    while rows := statement.rows(connection, sorting=query.sort_by, count=count, skip=skip, **bounds):
        rows = rows if query.ascending else rows[::-1]
        numbers = joined(rows, ("pks", *columns))
        passes = numbers["pks"] <= cursor.upper_bound
        if required:
            passes &= passing(required, numbers)
        if done is not None and query.ascending:
            passes[:done] = False
        elif done is not None:
            passes[len(passes) - rows[-1][0] + done :] = False
        found = numbers["pks"][np.flatnonzero(passes)]
        yield from (found if query.ascending else found[::-1]).tolist()
        skip, count, done = skip + count, count * _GROWTH, None


def _start(
    connection: Connection, query: PackageQuery, last: Key | None
) -> tuple[dict[str, Any], int | None] | None:
    """The key of the first block, and how many of it come before what is to follow (going down: how many of
    it are to follow). None where nothing follows."""
    if last is None:
        return {}, None
    found = LOW.rows(connection, sorting=query.sort_by, **last._asdict())
    if not found:  # everything up to there was removed meanwhile
        return ({}, None) if query.ascending else None
    low = Key(*found[0])
    # No name of a source has a character below this one.
    high = last._replace(source=last.source + "\1") if query.ascending else last
    return low._asdict(), len(between(connection, query.sort_by, low, high))


@lru_cache
def _blocks(ascending: bool, bounded: bool, *columns: str) -> Quick:
    statement = select(_L.c.size, *(_L.c[column] for column in columns))
    statement = statement.where(_L.c.sorting == bindparam("sorting"))
    if bounded:
        bound = tuple_(*(bindparam(column.name, type_=column.type) for column in _KEY))
        statement = statement.where(tuple_(*_KEY) >= bound if ascending else tuple_(*_KEY) <= bound)
    order = _KEY if ascending else tuple(column.desc() for column in _KEY)
    return Quick(statement.order_by(*order).limit(bindparam("count")).offset(bindparam("skip")))
