"""All packages in both sortings, cut into blocks: what a search reads instead of a million rows.

A block is a run of at most 1,024 packages in the ascending order of its sorting. Its key is a lower bound of
theirs, and it holds four columns of numbers, each of 1, 2 or 4 bytes: primary keys, and the numbers of their
words. So a filter is one look at a number per package, totals are exact, and any offset is found by counting.
A block follows from the rows of `packages`: whoever writes those calls `renew` for what was touched, in one
transaction.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Column, ColumnElement, Connection, bindparam, delete, func, insert, select, tuple_

from otarium.adapters import tables
from otarium.adapters.quick import Quick
from otarium.adapters.words import Numbers
from otarium.domain.packages import SortKey

MOST = 1024
_FILL = 680
"""Of blocks that were cut: they take more before they are cut again."""
SORTINGS: tuple[SortKey, ...] = ("CreatedAt", "Filename")
COLUMNS = ("pks", "names", "versions", "traits")

_P = tables.packages
_L = tables.listing
Ints = NDArray[np.integer[Any]]
Block = NDArray[np.int32]
_WIDTHS = {width.itemsize: width for width in map(np.dtype, ("u1", "<u2", "<i4"))}


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


def packed(numbers: Ints) -> bytes:
    """In as few bytes a number as hold all of them."""
    most = numbers.max(initial=0)
    width = next(width for width in _WIDTHS.values() if most <= np.iinfo(width).max)
    return numbers.astype(width).tobytes()


def unpacked(sizes: Sequence[int], blocks: Sequence[bytes]) -> Ints:
    """One column of blocks with these sizes, which follow each other."""
    widths = [len(data) // size for size, data in zip(sizes, blocks, strict=True)]
    if len(set(widths)) == 1:
        return np.frombuffer(b"".join(blocks), _WIDTHS[widths[0]])
    runs = [
        np.frombuffer(b"".join([data for _, data in run]), _WIDTHS[width])
        for width, run in groupby(zip(widths, blocks, strict=True), itemgetter(0))
    ]
    return np.concatenate(runs) if runs else np.empty(0, np.int32)


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

_COUNT = {sorting: _between(sorting, bounded=True, counted=True) for sorting in SORTINGS}


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
        places = {key.of(sorting): pk for key, pk in touched.items()}
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
    found = _AT.rows(connection, sorting=sorting, **key._asdict())
    low = Key(*found[0][:3]) if found else _LOWEST
    size, *columns = found[0][3:] if found else (0,)
    old = np.array([unpacked([size], [data]) for data in columns]) if found else np.zeros((4, 0), np.int32)
    after = _NEXT.rows(connection, sorting=sorting, **low._asdict())
    high = Key(*after[0]) if after else None
    here = {one: pk for one, pk in places.items() if low <= one and (high is None or one < high)}
    block = _with_one_more(connection, sorting, low, here, old, fresh)
    if block is None:
        block = _block(between(connection, sorting, low, high), old, fresh)
    this = {"this_sorting": sorting, **_named("this", low)}
    if block.shape[1] == 0:
        connection.execute(_DELETE, this)
    elif not found:
        _insert(connection, sorting, low, block)
    else:
        pieces = _pieces(block)
        _UPDATE.run(connection, **this, **_values(pieces[0]))
        for piece in pieces[1:]:
            _insert(connection, sorting, _key_of(connection, sorting, int(piece[0, 0])), piece)
    return high


def _with_one_more(
    connection: Connection,
    sorting: SortKey,
    low: Key,
    here: Mapping[Key, int | None],
    old: Block,
    fresh: Mapping[int, Numbers],
) -> Block | None:
    """What nearly every upload makes of a block, without reading all that stands in it; None where more than
    that happened."""
    [(key, pk), *others] = here.items()
    if others or pk is None or not old.shape[1] or pk in old[0]:
        return None
    [[before]] = _COUNT[sorting].rows(connection, **_bounds(sorting, low, key))
    return np.insert(old.astype(np.int32), before, (pk, *fresh[pk]), axis=1)


def _block(pks: Sequence[int], old: Block, fresh: Mapping[int, Numbers]) -> Block:
    block = np.zeros((4, len(pks)), np.int32)
    block[0] = pks
    if old.shape[1]:
        by_pk = np.argsort(old[0])
        places = by_pk[np.minimum(np.searchsorted(old[0], block[0], sorter=by_pk), len(by_pk) - 1)]
        block[1:] = old[1:, places]
    for place, pk in enumerate(pks):
        if pk in fresh:
            block[1:, place] = fresh[pk].name, fresh[pk].version, fresh[pk].trait
    return block


def _pieces(block: Block) -> list[Block]:
    size = block.shape[1]
    return [block] if size <= MOST else np.array_split(block, -(-size // _FILL), axis=1)


def _values(block: Block) -> dict[str, Any]:
    columns = dict(zip(COLUMNS, map(packed, block), strict=True))
    return {"new_size": block.shape[1], **{f"new_{name}": data for name, data in columns.items()}}


_UPDATE = Quick(
    _L.update()
    .where(*_THIS)
    .values(size=bindparam("new_size"), **{name: bindparam(f"new_{name}") for name in COLUMNS})
)
_DELETE = delete(_L).where(*_THIS)


def _insert(connection: Connection, sorting: SortKey, low: Key, block: Block) -> None:
    for number, piece in enumerate(_pieces(block)):
        key = low if number == 0 else _key_of(connection, sorting, int(piece[0, 0]))
        values = {name.removeprefix("new_"): value for name, value in _values(piece).items()}
        connection.execute(insert(_L).values(sorting=sorting, **key._asdict(), **values))


def _key_of(connection: Connection, sorting: SortKey, pk: int) -> Key:
    row = connection.execute(select(_P.c.created_at, _P.c.package_id, _P.c.source).where(_P.c.pk == pk)).one()
    return Key(*row).of(sorting)


def rebuild(connection: Connection) -> None:
    """All blocks anew from the rows, which have their words."""
    connection.execute(delete(_L))
    for sorting in SORTINGS:
        low = _LOWEST
        for keys, block in _runs(connection, sorting):
            _insert(connection, sorting, low if low is _LOWEST else keys, block)
            low = keys


def _runs(connection: Connection, sorting: SortKey) -> Iterator[tuple[Key, Block]]:
    words = (_P.c.pk, _P.c.name_word, _P.c.version_word, _P.c.trait_word)
    every = select(_P.c.created_at, _P.c.package_id, _P.c.source, *words).order_by(*place_of(sorting))
    result = connection.execute(every.execution_options(yield_per=_FILL))
    for rows in result.partitions():
        yield Key(*rows[0][:3]).of(sorting), np.array([row[3:] for row in rows], np.int32).T
