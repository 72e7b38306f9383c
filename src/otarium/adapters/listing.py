"""All packages in both sortings, cut into blocks: what a search reads instead of a million rows.

A block is a run of at most 1,024 packages in the ascending order of its sorting. Its key is a lower bound of
theirs, and it holds four columns of numbers, each of 1, 2 or 4 bytes: primary keys, and the numbers of their
words. So a filter is one look at a number per package, totals are exact, and any offset is found by counting.
A block follows from the rows of `packages`: whoever writes those calls `renew` for what was touched, in one
transaction.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Column, ColumnElement, Connection, bindparam, delete, func, insert, select, tuple_

from otarium.adapters import blocks, tables
from otarium.adapters.blocks import COLUMNS, Block, Table, cut
from otarium.adapters.quick import Quick
from otarium.adapters.words import Numbers
from otarium.domain.packages import SortKey

SORTINGS: tuple[SortKey, ...] = ("CreatedAt", "Filename")
_FEW = 16
"""Packages for which it pays to count their places in a block, instead of reading all that stand in it."""

_P = tables.packages
_L = tables.listing


class Key(NamedTuple):
    """A place in a sorting; by Filename all times are 0."""

    created_at: int
    package_id: str
    source: str

    def of(self, sorting: SortKey) -> "Key":
        return self if sorting == "CreatedAt" else self._replace(created_at=0)


_LOWEST = Key(-1, "", "")
_BOUND = tuple_(*(bindparam(name, type_=_L.c[name].type) for name in Key._fields))
_KEY = tuple_(_L.c.created_at, _L.c.package_id, _L.c.source)
_SORTED = (_L.c.created_at, _L.c.package_id, _L.c.source)
_OF_SORTING = _L.c.sorting == bindparam("sorting")
_AT = Quick(
    select(*_SORTED, _L.c.size, *(_L.c[column] for column in COLUMNS))
    .where(_OF_SORTING, _KEY <= _BOUND)
    .order_by(*(column.desc() for column in _SORTED))
    .limit(1)
)
LOW = Quick(
    select(*_SORTED)
    .where(_OF_SORTING, _KEY <= _BOUND)
    .order_by(*(column.desc() for column in _SORTED))
    .limit(1)
)
_NEXT = Quick(select(*_SORTED).where(_OF_SORTING, _KEY > _BOUND).order_by(*_SORTED).limit(1))
_THIS = (
    _L.c.sorting == bindparam("this_sorting"),
    *(_L.c[name] == bindparam(f"this_{name}") for name in Key._fields),
)


def place_of(sorting: SortKey) -> list[Column[Any]]:
    """The columns of a package that make its key."""
    by_name: list[Column[Any]] = [_P.c.package_id, _P.c.source]
    return [_P.c.created_at, *by_name] if sorting == "CreatedAt" else by_name


def _bound(prefix: str, sorting: SortKey) -> ColumnElement[Any]:
    names = Key._fields if sorting == "CreatedAt" else Key._fields[1:]
    return tuple_(*(bindparam(f"{prefix}_{name}", type_=_P.c[name].type) for name in names))


def _between(sorting: SortKey, *, bounded: bool, counted: bool = False) -> Quick:
    """The leading column is bounded on its own too: of rows alone PostgreSQL takes a quarter to be in bounds,
    and reads every package."""
    place = place_of(sorting)
    leading = place[0]
    low, high = (bindparam(f"{prefix}_{leading.name}", type_=leading.type) for prefix in ("low", "high"))
    where = [tuple_(*place) >= _bound("low", sorting), leading >= low]
    if bounded:
        where += [tuple_(*place) < _bound("high", sorting), leading <= high]
    if counted:
        return Quick(select(func.count()).select_from(_P).where(*where))
    return Quick(select(_P.c.pk).where(*where).order_by(*place))


_BETWEEN = {
    sorting: {bounded: _between(sorting, bounded=bounded) for bounded in (True, False)}
    for sorting in SORTINGS
}
_COUNT = {
    sorting: {bounded: _between(sorting, bounded=bounded, counted=True) for bounded in (True, False)}
    for sorting in SORTINGS
}


def _named(prefix: str, key: Key) -> dict[str, Any]:
    return {f"{prefix}_{name}": value for name, value in key._asdict().items()}


def between(connection: Connection, sorting: SortKey, low: Key, high: Key | None) -> list[int]:
    """The primary keys from `low` to below `high`, in order."""
    bounds = _bounds(sorting, low, high)
    return [pk for (pk,) in _BETWEEN[sorting][high is not None].rows(connection, **bounds)]


def _bounds(sorting: SortKey, low: Key, high: Key | None) -> dict[str, Any]:
    names = Key._fields if sorting == "CreatedAt" else Key._fields[1:]
    bounds = {f"low_{name}": getattr(low, name) for name in names}
    if high is not None:
        bounds |= {f"high_{name}": getattr(high, name) for name in names}
    return bounds


def renew(connection: Connection, touched: Mapping[Key, int | None], fresh: Mapping[int, Numbers]) -> None:
    """Bring the blocks of these places up to date with the rows; `touched` has the primary key of what was
    added there and nothing else, `fresh` are the numbers of new and changed packages by primary key."""
    for sorting in SORTINGS:
        high: Key | None = _LOWEST
        places: dict[Key, int | None] = {}
        for key, pk in touched.items():
            place = key.of(sorting)  # by name one that was removed has the place of the one that came instead
            places[place] = None if place in places else pk
        for key in sorted(places):
            if high is None or key < high:
                continue
            high = _renew(connection, sorting, key, places, fresh)


def _renew(
    connection: Connection,
    sorting: SortKey,
    key: Key,
    places: Mapping[Key, int | None],
    fresh: Mapping[int, Numbers],
) -> Key | None:
    """The lower bound of the block after the one of `key`."""
    low, block = _at(connection, sorting, key)
    after = _NEXT.rows(connection, sorting=sorting, **low._asdict())
    high = Key(*after[0]) if after else None
    here = {one: pk for one, pk in places.items() if low <= one and (high is None or one < high)}
    this = {"this_sorting": sorting, **_named("this", low)}
    if grown := _with_a_few_more(connection, sorting, high, block, here, fresh):
        _UPDATE.run(connection, **this, **_values("new_", grown))
        return high
    table = block.with_packages(between(connection, sorting, low, high), fresh)
    if table.shape[1] == 0:
        connection.execute(_DELETE, this)
    elif not block.size:
        _insert(connection, sorting, low, table)
    else:
        first, *others = cut(table)
        _UPDATE.run(connection, **this, **_values("new_", Block.of(first)))
        for piece in others:
            _insert(connection, sorting, _key_of(connection, sorting, int(piece[0, 0])), piece)
    return high


def _at(connection: Connection, sorting: SortKey, key: Key) -> tuple[Key, Block]:
    """The block into which `key` belongs, and its own key."""
    found = _AT.rows(connection, sorting=sorting, **key._asdict())
    if not found:
        return _LOWEST, Block()
    created_at, package_id, source, size, *columns = found[0]
    return Key(created_at, package_id, source), Block(size, tuple(columns))


def _with_a_few_more(
    connection: Connection,
    sorting: SortKey,
    high: Key | None,
    block: Block,
    here: Mapping[Key, int | None],
    fresh: Mapping[int, Numbers],
) -> Block | None:
    """What nearly every upload makes of a block, without reading all that stands in it; None where more than
    that happened. Places are counted from the end of the block, which is where new packages come by time."""
    added = [(key, pk) for key, pk in sorted(here.items(), reverse=True) if pk is not None]
    if len(added) < len(here) or len(added) > _FEW or not block.takes([pk for _, pk in added]):
        return None
    place = block.size
    for key, pk in added:
        [[from_here]] = _COUNT[sorting][high is not None].rows(connection, **_bounds(sorting, key, high))
        high, place = key, place - (from_here - 1)
        block = block.with_one(place, pk, fresh[pk])
    return block


def _values(prefix: str, block: Block) -> dict[str, Any]:
    columns = {f"{prefix}{name}": data for name, data in zip(COLUMNS, block.columns, strict=True)}
    return {f"{prefix}size": block.size, **columns}


_UPDATE = Quick(
    _L.update()
    .where(*_THIS)
    .values(size=bindparam("new_size"), **{name: bindparam(f"new_{name}") for name in COLUMNS})
)
_DELETE = delete(_L).where(*_THIS)


def _insert(connection: Connection, sorting: SortKey, low: Key, table: Table) -> None:
    for number, piece in enumerate(cut(table)):
        key = low if number == 0 else _key_of(connection, sorting, int(piece[0, 0]))
        values = _values("", Block.of(piece))
        connection.execute(insert(_L).values(sorting=sorting, **key._asdict(), **values))


def _key_of(connection: Connection, sorting: SortKey, pk: int) -> Key:
    row = connection.execute(select(_P.c.created_at, _P.c.package_id, _P.c.source).where(_P.c.pk == pk)).one()
    return Key(*row).of(sorting)


def rebuild(connection: Connection) -> None:
    """All blocks anew from the rows, which have their words."""
    connection.execute(delete(_L))
    for sorting in SORTINGS:
        for number, (key, table) in enumerate(_runs(connection, sorting)):
            _insert(connection, sorting, key if number else _LOWEST, table)


def _runs(connection: Connection, sorting: SortKey) -> Iterator[tuple[Key, Table]]:
    words = (_P.c.pk, _P.c.name_word, _P.c.version_word, _P.c.trait_word)
    every = select(_P.c.created_at, _P.c.package_id, _P.c.source, *words).order_by(*place_of(sorting))
    result = connection.execute(every.execution_options(yield_per=blocks.FILL))
    for rows in result.partitions():
        yield Key(*rows[0][:3]).of(sorting), np.array([row[3:] for row in rows], np.int32).T
