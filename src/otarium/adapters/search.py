"""Pages and totals from the listing: which packages pass, and which of them are asked for."""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Text, bindparam, func, select

from otarium.adapters import tables
from otarium.adapters.blocks import Ints, unpacked
from otarium.adapters.filters import Clause, clauses, columns_of, passing
from otarium.adapters.listing import Key
from otarium.adapters.many import many
from otarium.adapters.quick import Quick
from otarium.domain.listed import Listed, Page
from otarium.domain.packages import PackageQuery, SortKey
from otarium.services.ports import Cursor

_P = tables.packages
_L = tables.listing
_UPPER_BOUND = Quick(select(func.max(_P.c.pk)))
_NUMBERS = {"names": _P.c.name_word, "versions": _P.c.version_word, "traits": _P.c.trait_word}


class _Found(NamedTuple):
    """Places of what passes, in the order of the listing, among blocks that end there."""

    ends: list[int]
    total: int
    places: NDArray[np.int64] | None
    """None when everything passes."""

    def window(self, query: PackageQuery) -> NDArray[np.int64]:
        """The places that the page asks for, upwards whatever its order is."""
        start = min(query.offset, self.total)
        end = min(start + query.limit, self.total)
        if not query.ascending:
            start, end = self.total - end, self.total - start
        return np.arange(start, end) if self.places is None else self.places[start:end]


@lru_cache
def _blocks(*columns: str) -> Quick:
    """Some columns of all blocks."""
    shown = (_L.c.size, *(_L.c[column] for column in columns))
    order = (_L.c.created_at, _L.c.package_id, _L.c.source)
    return Quick(select(*shown).where(_L.c.sorting == bindparam("sorting")).order_by(*order))


_PKS = Quick(
    select(_L.c.size, _L.c.pks)
    .where(_L.c.sorting == bindparam("sorting"))
    .order_by(_L.c.created_at, _L.c.package_id, _L.c.source)
    .limit(bindparam("count"))
    .offset(bindparam("skip"))
)
_KEYS = many(bindparam("pks", type_=Text()))
_LISTED = Quick(
    select(_P.c.source, _P.c.listed).join_from(_KEYS, _P, _P.c.pk == _KEYS.c.value).order_by(_KEYS.c.key)
)


def page(connection: Connection, query: PackageQuery) -> Page:
    required = clauses(connection, query)
    if not all(required):
        return Page([], 0)
    if query.ids or query.hashes:
        matching = stated(connection, query, required)
        pks = [pk for _, pk in matching[query.offset : query.offset + query.limit]]
        return Page(listed(connection, pks), len(matching))
    found = find(connection, query.sort_by, required)
    return Page(listed(connection, _pks(connection, query, found)), found.total)


def count(connection: Connection, query: PackageQuery) -> tuple[int, Cursor]:
    required = clauses(connection, query)
    [[bound]] = _UPPER_BOUND.rows(connection)
    cursor = Cursor(bound or 0)
    if not all(required):
        return 0, cursor
    if query.ids or query.hashes:
        return len(stated(connection, query, required)), cursor
    return find(connection, query.sort_by, required).total, cursor


def find(connection: Connection, sorting: SortKey, required: Sequence[Clause]) -> _Found:
    columns = columns_of(required)
    rows = _blocks(*columns).rows(connection, sorting=sorting)
    ends = list(accumulate([row[0] for row in rows]))
    if not required:
        return _Found(ends, ends[-1] if ends else 0, None)
    places = np.flatnonzero(passing(required, joined(rows, columns)))
    return _Found(ends, len(places), places)


def joined(rows: Sequence[tuple[Any, ...]], columns: Sequence[str]) -> dict[str, Ints]:
    """These columns of all blocks; a row is a size and the columns of a block."""
    sizes = [row[0] for row in rows]
    return {column: unpacked(sizes, [row[n] for row in rows]) for n, column in enumerate(columns, 1)}


def _pks(connection: Connection, query: PackageQuery, found: _Found) -> list[int]:
    """The primary keys at the places of the page, in its order."""
    places = found.window(query)
    if not len(places):
        return []
    first, last = (bisect_right(found.ends, int(place)) for place in (places[0], places[-1]))
    rows = _PKS.rows(connection, sorting=query.sort_by, count=last - first + 1, skip=first)
    pks = joined(rows, ("pks",))["pks"]
    chosen: list[int] = pks[places - (found.ends[first - 1] if first else 0)].tolist()
    return chosen if query.ascending else chosen[::-1]


def stated(connection: Connection, query: PackageQuery, required: Sequence[Clause]) -> list[tuple[Key, int]]:
    """All that match a query that names ids or hashes, which few packages have."""
    statement = select(_P.c.created_at, _P.c.package_id, _P.c.source, _P.c.pk, *_NUMBERS.values())
    for column, values in ((_P.c.package_id, query.ids), (_P.c.sha256, query.hashes)):
        statement = statement.where(column.in_(values)) if values else statement
    rows = [tuple(row) for row in connection.execute(statement)]
    if required and rows:
        columns = {name: np.array([row[place] for row in rows]) for place, name in enumerate(_NUMBERS, 4)}
        rows = [row for row, passes in zip(rows, passing(required, columns), strict=True) if passes]
    found = [(Key(*row[:3]).of(query.sort_by), row[3]) for row in rows]
    return sorted(found, reverse=not query.ascending)


def listed(connection: Connection, pks: list[int]) -> list[Listed]:
    """In the order given."""
    rows: list[Any] = _LISTED.rows(connection, pks=str(pks)) if pks else []
    return rows
