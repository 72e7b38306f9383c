"""What packages have in common, numbered: names, versions, and traits (source, SBOM and hardware ids).

There are few of each beside the packages, so a filter is tried on every word, and on every package it is a
look at a number. The id of a package is its name, a dash and its version, so parts of ids are found among
names and versions too; an external package whose id is anything else has a name word of its own, with that
id. A word stays when its last package goes.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, insert, select

from otarium.adapters import tables
from otarium.adapters.quick import Quick
from otarium.domain.packages import Package, folded

_W = tables.words
NAME, VERSION, TRAIT = "name", "version", "trait"
_AT_ONCE = 500
_THREE = Quick(
    select(_W.c.digest, _W.c.number).where(_W.c.digest.in_([bindparam(f"digest{n}") for n in range(3)]))
)
_ADD = Quick(
    insert(_W)
    .values({name: bindparam(name) for name in ("kind", "digest", "word", "folded", "odd_id")})
    .returning(_W.c.number)
)


class Word(NamedTuple):
    kind: str
    text: str
    odd_id: str | None = None

    @property
    def digest(self) -> bytes:
        parts = "\n".join((self.kind, self.text, *([] if self.odd_id is None else [self.odd_id])))
        return hashlib.blake2b(parts.encode(), digest_size=16).digest()


class Numbers(NamedTuple):
    """Of the three words of a package."""

    name: int
    version: int
    trait: int


class Trait(NamedTuple):
    source: str
    has_sbom: bool
    hardware_ids: frozenset[str]


@lru_cache(maxsize=10_000)
def trait_of(text: str) -> Trait:
    source, has_sbom, *hardware_ids = json.loads(text)
    return Trait(source, has_sbom, frozenset(hardware_ids))


def words_of(package: Package) -> tuple[Word, Word, Word]:
    regular = package.id == f"{package.name}-{package.version}"
    trait = [package.source, package.has_sbom, *sorted(package.hardware_ids)]
    return (
        Word(NAME, str(package.name), None if regular else str(package.id)),
        Word(VERSION, str(package.version)),
        Word(TRAIT, json.dumps(trait, ensure_ascii=False)),
    )


def numbers_of(connection: Connection, packages: Sequence[Package]) -> list[Numbers]:
    """The numbers of their words, in the same order; new words are added."""
    words = [words_of(package) for package in packages]
    digests = {word: word.digest for three in words for word in three}
    known = _known(connection, list(digests.values()))
    new = [word for word, digest in digests.items() if digest not in known]
    if len(new) <= 3:
        for word in new:
            [[known[digests[word]]]] = _ADD.rows(connection, **values_of(word))
    else:
        connection.execute(insert(_W), [values_of(word) for word in new])
        known |= _known(connection, [digests[word] for word in new])
    return [Numbers(*(known[digests[word]] for word in three)) for three in words]


def _known(connection: Connection, digests: Sequence[bytes]) -> dict[bytes, int]:
    if len(digests) <= 3:
        padded = [*digests, b"", b"", b""]
        three = {f"digest{n}": padded[n] for n in range(3)}
        return {bytes(digest): number for digest, number in _THREE.rows(connection, **three)}
    known: dict[bytes, int] = {}
    for start in range(0, len(digests), _AT_ONCE):
        some = select(_W.c.digest, _W.c.number).where(_W.c.digest.in_(digests[start : start + _AT_ONCE]))
        known |= {bytes(digest): number for digest, number in connection.execute(some)}
    return known


def values_of(word: Word) -> dict[str, object]:
    """Its row but for the number."""
    return {
        "kind": word.kind,
        "digest": word.digest,
        "word": word.text,
        "folded": folded(word.text) if word.kind != TRAIT else "",
        "odd_id": None if word.odd_id is None else folded(word.odd_id),
    }


def find(connection: Connection, word: Word) -> Iterable[int]:
    """Its number, or none."""
    return _known(connection, [word.digest]).values()
