"""What lists and searches read beside the rows of packages: whether it agrees with them, and all of it anew.

That is the JSON of every package, its words, and the blocks of the listing. Every change keeps them up to
date in its own transaction; this is for catalogs that somebody repaired by hand.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, bindparam, delete, func, select, update

from otarium.adapters import listing, tables, words
from otarium.adapters.blocks import COLUMNS, packed
from otarium.adapters.listing import SORTINGS, Key
from otarium.adapters.rows_packages import SHOWN, package_of
from otarium.domain.listed import members
from otarium.domain.packages import SortKey

_P = tables.packages
_L = tables.listing
_W = tables.words
_WORDS = (_P.c.name_word, _P.c.version_word, _P.c.trait_word)
_AT_ONCE = 1000
_CHANGE = (
    update(_P)
    .where(_P.c.pk == bindparam("of"))
    .values(listed=bindparam("new_listed"), **{one.name: bindparam(f"new_{one.name}") for one in _WORDS})
)

_KEY = (_L.c.created_at, _L.c.package_id, _L.c.source)
_OF_SORTING = _L.c.sorting == bindparam("sorting")
_KEYS = select(*_KEY, _L.c.size).where(_OF_SORTING).order_by(*_KEY)
_BLOCK = select(*(_L.c[name] for name in COLUMNS)).where(
    _OF_SORTING, *(column == bindparam(column.name) for column in _KEY)
)
_COUNT = select(func.count()).select_from(_P)


class SearchIndex:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def differences(self) -> Iterator[str]:
        """One line for each package and each block that says something else than the rows."""
        known = {row.number: row._mapping for row in self._connection.execute(select(_W))}
        for rows in _parts(self._connection):
            for row in rows:
                package = package_of(row)
                numbered = zip(words.words_of(package), row[-3:], strict=True)
                if any(not _same(word, known.get(number)) for word, number in numbered):
                    yield f"{package.id} of {package.source} is searched by other words than its own"
                if row.listed != members(package):
                    yield f"{package.id} of {package.source} is listed as it is not"
        for sorting in SORTINGS:
            yield from _misplaced(self._connection, sorting)

    def rebuild(self) -> None:
        self._connection.execute(delete(_W))
        for rows in _parts(self._connection):
            packages = [package_of(row) for row in rows]
            numbered = zip(packages, words.numbers_of(self._connection, packages), strict=True)
            values = [
                {
                    "of": row.pk,
                    "new_listed": members(package),
                    "new_name_word": numbers.name,
                    "new_version_word": numbers.version,
                    "new_trait_word": numbers.trait,
                }
                for row, (package, numbers) in zip(rows, numbered, strict=True)
            ]
            self._connection.execute(_CHANGE, values)
        listing.rebuild(self._connection)


def _same(word: words.Word, stored: Any) -> bool:
    made = words.values_of(word)
    return stored is not None and all(stored[name] == value for name, value in made.items())


def _parts(connection: Connection) -> Iterator[Sequence[Any]]:
    last = -1
    of_row = select(*SHOWN, _P.c.listed, *_WORDS).order_by(_P.c.pk).limit(_AT_ONCE)
    while rows := connection.execute(of_row.where(_P.c.pk > last)).all():
        yield rows
        last = rows[-1].pk


def _misplaced(connection: Connection, sorting: SortKey) -> Iterator[str]:
    """Blocks that do not hold what stands between their key and the next one, in order."""
    blocks = connection.execute(_KEYS, {"sorting": sorting}).all()
    lows, reached = [Key(*block[:3]) for block in blocks], 0
    for place, low in enumerate(lows):
        size, high = blocks[place].size, lows[place + 1] if place + 1 < len(lows) else None
        pks = listing.between(connection, sorting, low, high)
        reached += len(pks)
        stored = connection.execute(_BLOCK, {"sorting": sorting, **low._asdict()}).one()
        if size != len(pks) or list(map(bytes, stored)) != _columns(connection, pks):
            yield f"the list by {sorting} is wrong from {low.package_id or 'its start'!a} on"
    if reached != connection.execute(_COUNT).scalar_one():
        yield f"the list by {sorting} does not begin where it should"


def _columns(connection: Connection, pks: Sequence[int]) -> list[bytes]:
    """Those of a block of these packages."""
    rows = {row[0]: row for row in connection.execute(select(_P.c.pk, *_WORDS).where(_P.c.pk.in_(pks)))}
    return [packed(np.array([rows[pk][column] for pk in pks], int)) for column in range(len(COLUMNS))]
