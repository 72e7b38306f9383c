"""What a query means in numbers: which words match it, and which of many packages have them."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, bindparam, select

from otarium.adapters import tables
from otarium.adapters.blocks import Ints
from otarium.adapters.quick import Quick
from otarium.adapters.substring import begins_with, ends_with, holds
from otarium.adapters.words import NAME, TRAIT, VERSION, Trait, Word, find, trait_of
from otarium.domain.names import OWN_SOURCE
from otarium.domain.packages import PackageQuery, folded

Mask = NDArray[np.bool_]
Columns = Mapping[str, Ints]
Together = dict[str, Mask]
"""By column: for every number whether the word matches; the last stands for all higher numbers."""
Clause = list[Together]
"""A package passes when all columns of any of these match; it has to pass every clause of a query."""

_W = tables.words
_PART = bindparam("part", type_=_W.c.folded.type)
_REGULAR, _ODD = _W.c.odd_id.is_(None), _W.c.odd_id.is_not(None)


def _numbers(kind: str, *where: ColumnElement[bool]) -> Quick:
    return Quick(select(_W.c.number).where(_W.c.kind == kind, *where))


_NAMES_WITH = _numbers(NAME, holds(_W.c.folded, _PART))
_REGULAR_WITH = _numbers(NAME, _REGULAR, holds(_W.c.folded, _PART))
_REGULAR_ENDING = _numbers(NAME, _REGULAR, ends_with(_W.c.folded, _PART))
_ODD_WITH = _numbers(NAME, _ODD, holds(_W.c.odd_id, _PART))
_ODD_NAMES = Quick(select(_W.c.number, _W.c.word).where(_W.c.kind == NAME, _ODD))
_VERSIONS_WITH = _numbers(VERSION, holds(_W.c.folded, _PART))
_VERSIONS_BEGINNING = _numbers(VERSION, begins_with(_W.c.folded, _PART))
_TRAITS = Quick(select(_W.c.number, _W.c.word).where(_W.c.kind == TRAIT))


def clauses(connection: Connection, query: PackageQuery) -> list[Clause]:
    """What has to hold; a clause without alternatives never does."""
    made: list[Clause] = []
    if query.name is not None:
        made.append(_only("names", _named(connection, query.name)))
    if query.version is not None:
        made.append(_only("versions", find(connection, Word(VERSION, query.version))))
    if query.name_contains:
        names = _ints(_NAMES_WITH.rows(connection, part=folded(query.name_contains)))
        made.append(_only("names", names))
    if query.id_contains:
        made.append(_in_id(connection, folded(query.id_contains)))
    if query.sources or query.hardware_ids or query.external or query.has_sbom is not None:
        traits = [number for number, text in _TRAITS.rows(connection) if _fits(trait_of(text), query)]
        made.append(_only("traits", traits))
    return made


def _ints(rows: Sequence[tuple[int, ...]]) -> list[int]:
    return [row[0] for row in rows]


def _fits(trait: Trait, query: PackageQuery) -> bool:
    return (
        (not query.sources or trait.source in query.sources)
        and (not query.external or trait.source != OWN_SOURCE)
        and (query.has_sbom is None or trait.has_sbom == query.has_sbom)
        and (not query.hardware_ids or not trait.hardware_ids.isdisjoint(query.hardware_ids))
    )


def _named(connection: Connection, name: str) -> list[int]:
    odd = [number for number, word in _ODD_NAMES.rows(connection) if word == name]
    return [*find(connection, Word(NAME, name)), *odd]


def _in_id(connection: Connection, part: str) -> Clause:
    """In the name, in the version, or across the dash between them; or in an id that is no such thing."""
    regular = _REGULAR_WITH.rows(connection, part=part)
    clause = _only("names", _ints(regular + _ODD_WITH.rows(connection, part=part)))
    no_odd = lookup(_ints(_ODD_NAMES.rows(connection)), others=True)
    versions = _ints(_VERSIONS_WITH.rows(connection, part=part))
    if versions:
        clause.append({"names": no_odd, "versions": lookup(versions)})
    for place in (place for place, char in enumerate(part) if char == "-"):
        together: Together = {"names": no_odd}
        if ending := part[:place]:
            together["names"] = lookup(_ints(_REGULAR_ENDING.rows(connection, part=ending)))
        if beginning := part[place + 1 :]:
            together["versions"] = lookup(_ints(_VERSIONS_BEGINNING.rows(connection, part=beginning)))
        if all(bool(matching.any()) for matching in together.values()):
            clause.append(together)
    return clause


def _only(column: str, numbers: Iterable[int]) -> Clause:
    matching = list(numbers)
    return [{column: lookup(matching)}] if matching else []


def lookup(numbers: Sequence[int], *, others: bool = False) -> Mask:
    """Whether a number is one of these; the `others` the other way round."""
    made = np.full(max(numbers, default=0) + 2, others)
    made[list(numbers)] = not others
    return made


def columns_of(query: Sequence[Clause]) -> list[str]:
    return sorted({column for clause in query for together in clause for column in together})


def passing(query: Sequence[Clause], columns: Columns) -> Mask:
    """Which packages pass every clause, of which there is at least one."""
    masks = [_union(_intersection(together, columns) for together in clause) for clause in query]
    for mask in masks[1:]:
        masks[0] &= mask
    return masks[0]


def _intersection(together: Together, columns: Columns) -> Mask:
    masks = [_having(matching, columns[name]) for name, matching in together.items()]
    for mask in masks[1:]:
        masks[0] &= mask
    return masks[0]


def _having(matching: Mask, column: Ints) -> Mask:
    """One word is compared with all: that takes a tenth of looking up each."""
    numbers = matching.nonzero()[0]
    if len(numbers) == 1 and not matching[-1]:
        return np.equal(column, int(numbers[0]))
    return matching.take(column, mode="clip")


def _union(masks: Iterable[Mask]) -> Mask:
    first, *rest = masks
    for mask in rest:
        first |= mask
    return first
