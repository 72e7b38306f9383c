"""How many roles a device has to look through for one package.

python-tuf and tuf-js visit at most 32 roles whose patterns match a target, and then say that there is no
such target, without an error. So whatever would make a package match more is refused.

A shelf's pattern `name-*` matches the ids that start with `name-`: every hyphen of an id may end a name.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence

from otarium.domain import patterns
from otarium.domain.names import PackageId, PackageName
from otarium.domain.shelves import NamedShelf, is_exact, pattern_of

MOST_MATCHING = 32


def prefixes(text: str) -> Iterator[str]:
    """What stands before each hyphen, shortest first."""
    at = text.find("-")
    while at >= 0:
        yield text[:at]
        at = text.find("-", at + 1)


class Crowding:
    """Counts the pages and sources that match an id. `sources` are the path patterns of each."""

    def __init__(self, pages: Iterable[NamedShelf], sources: Sequence[Sequence[str]] = ()) -> None:
        self._pages: dict[str, int] = {}
        self._shelf_of: dict[str, str] = {}
        for page in pages:
            self._pages[page.first] = self._pages.get(page.first, 0) + 1
            self._shelf_of.update(dict.fromkeys(page.names, page.first))
        self._names = sorted(self._shelf_of)
        self._inexact = [name for name in self._names if not is_exact(PackageName(name))]
        self._sources = sources

    def matching(self, package_id: PackageId) -> int:
        """The roles whose patterns match, shelves and sources."""
        names = [name for name in prefixes(package_id) if name in self._shelf_of]
        names += [n for n in self._inexact if patterns.matches(pattern_of(PackageName(n)), package_id)]
        sources = sum(patterns.any_matches(paths, package_id) for paths in self._sources)
        return self._roles(names) + sources

    def suspects(self, around: Iterable[PackageName] | None = None) -> Iterator[PackageName]:
        """The names of which a package might match too many: all, or those that have to do with one of
        `around`. Never fewer than there are."""
        if len(self._sources) + sum(self._pages.values()) <= MOST_MATCHING:
            return
        related = self._names if around is None else sorted(self._touched(around))
        for name in related:
            at_most = self._roles([*prefixes(name), name, *self._below(name), *self._inexact])
            if at_most + len(self._sources) > MOST_MATCHING:
                yield PackageName(name)

    def near(self, names: Iterable[PackageName], ids: Iterable[PackageId]) -> Iterator[PackageId]:
        """Those of `ids` that the pages of one of these names may match."""
        meant = set(names)
        inexact = not meant.isdisjoint(self._inexact)
        return (one for one in ids if inexact or not meant.isdisjoint(prefixes(one)))

    def _touched(self, around: Iterable[PackageName]) -> set[str]:
        shelves = {self._shelf_of[name] for name in around}
        mates = [name for name in self._names if self._shelf_of[name] in shelves]
        return {one for name in mates for one in self._related(name)}

    def _related(self, name: str) -> Iterator[str]:
        """The names whose packages a pattern of `name` may match."""
        if name in self._inexact:
            yield from self._names
            return
        yield from (one for one in prefixes(name) if one in self._shelf_of)
        yield name
        yield from self._below(name)

    def _below(self, name: str) -> Sequence[str]:
        """The names that start with this one and a hyphen."""
        start, end = bisect_left(self._names, f"{name}-"), bisect_right(self._names, f"{name}-\uffff")
        return self._names[start:end]

    def _roles(self, names: Iterable[str]) -> int:
        shelves = {self._shelf_of[name] for name in names if name in self._shelf_of}
        return sum(self._pages[shelf] for shelf in shelves)


def crowded(crowding: Crowding, ids: Iterable[PackageId]) -> Mapping[PackageId, int]:
    """The ids that match too many roles, each with how many."""
    counts = {package_id: crowding.matching(package_id) for package_id in ids}
    return {package_id: count for package_id, count in counts.items() if count > MOST_MATCHING}
