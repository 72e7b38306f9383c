"""Blocks of the listing as bytes: four columns of numbers, each of 1, 2 or 4 bytes a package."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from otarium.adapters.words import Numbers

MOST = 1024
FILL = 680
"""Of blocks that were cut: they take more before they are cut again."""
COLUMNS = ("pks", "names", "versions", "traits")

Ints = NDArray[np.integer[Any]]
Table = NDArray[np.int32]
"""Four rows, a column for each package."""
_WIDTHS = {width.itemsize: width for width in map(np.dtype, ("u1", "<u2", "<i4"))}


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


class Block(NamedTuple):
    """As it is stored, with `size` packages."""

    size: int = 0
    columns: tuple[bytes, ...] = (b"",) * len(COLUMNS)

    @classmethod
    def of(cls, table: Table) -> "Block":
        return cls(table.shape[1], tuple(map(packed, table)))

    def column(self, name: str) -> Ints:
        return unpacked([self.size], [self.columns[COLUMNS.index(name)]])

    def takes(self, pks: Sequence[int]) -> bool:
        """Whether these can be added one by one: they are not in it, there is room, and it is not empty."""
        if not 0 < self.size <= MOST - len(pks):
            return False
        held = self.column("pks")
        return not any((held == pk).any() for pk in pks)

    def with_one(self, place: int, pk: int, numbers: Numbers) -> "Block":
        """With one package more, which comes after `place` others."""
        added = zip(self.columns, (pk, *numbers), strict=True)
        return Block(self.size + 1, tuple([self._with(data, place, number) for data, number in added]))

    def _with(self, data: bytes, place: int, number: int) -> bytes:
        width = len(data) // self.size
        if number > np.iinfo(_WIDTHS[width]).max:
            return packed(np.insert(unpacked([self.size], [data]).astype(np.int32), place, number))
        return b"".join((data[: place * width], number.to_bytes(width, "little"), data[place * width :]))

    def with_packages(self, pks: Sequence[int], fresh: Mapping[int, Numbers]) -> Table:
        """Of these packages in this order, each of which is in the block or `fresh`; those win."""
        table = np.zeros((len(COLUMNS), len(pks)), np.int32)
        table[0] = pks
        if self.size:
            old = np.array([self.column(name) for name in COLUMNS])
            by_pk = np.argsort(old[0])
            places = by_pk[np.minimum(np.searchsorted(old[0], table[0], sorter=by_pk), len(by_pk) - 1)]
            table[1:] = old[1:, places]
        for place, pk in enumerate(pks):
            if pk in fresh:
                table[1:, place] = fresh[pk]
        return table


def cut(table: Table) -> list[Table]:
    """Into blocks' worth; one piece where it fits."""
    size = table.shape[1]
    return [table] if size <= MOST else np.array_split(table, -(-size // FILL), axis=1)
