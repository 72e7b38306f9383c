"""Putting packages on shelves, inside the publisher's transaction.

`put`, `resize` and `take` answer the roles that have to be signed for it. All rules about where a package
goes, and what cannot be published because devices would not find it, are applied here.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from otarium.domain.crowding import MOST_MATCHING, Crowding, crowded, prefixes
from otarium.domain.delegation import Accepted
from otarium.domain.errors import Conflict, SourceOutOfBounds, TooLarge
from otarium.domain.names import PackageId, PackageName
from otarium.domain.packages import Entry
from otarium.domain.release import Release, RoleKeys
from otarium.domain.roles import TARGETS, Delegations, RoleFile
from otarium.domain.shelves import (
    ENTRIES_BYTES,
    Shelf,
    ShelfLimits,
    delegations,
    is_exact,
    role_of,
    size_of,
    stated,
)
from otarium.domain.sources import SOURCES
from otarium.services.ports import Transaction

log = logging.getLogger(__name__)

UNKNOWN = 1 + MOST_MATCHING
"""So many pages that all names have to be looked at."""
_AT_ONCE = 500
"""Texts that are looked up among names by one statement."""
Signs = frozenset[str]
"""The roles that a change makes it necessary to sign."""


class Shelving:
    """Stateless: everything is asked of the transaction."""

    def __init__(self, limits: ShelfLimits) -> None:
        self.limits = limits

    def put(
        self, tx: Transaction, name: PackageName, package_id: PackageId, entry: Entry
    ) -> tuple[str, Signs]:
        """The page for a new package, counted as there. Raises Conflict, or TooLarge for a flat layout."""
        size, signs = size_of(entry), Signs()
        newest = None if self.limits.flat else tx.shelves.newest_page(name)
        if newest is None:
            if self._fits_on_top(tx, size):
                tx.shelves.count(TARGETS, 1, size)
                return TARGETS, frozenset({TARGETS})
            signs = self.spread(tx)
            newest = tx.shelves.newest_page(name)
        role, opened = self._place(tx, name, newest, size)
        require_findable(tx, tx.shelves.mates(name) if opened else [], [package_id])
        return role, signs | {role, TARGETS} if opened else signs | {role}

    def _fits_on_top(self, tx: Transaction, size: int) -> bool:
        """Whether a package goes into targets.json. Raises TooLarge for a flat layout that is full."""
        top = tx.shelves.get(TARGETS)
        if not self.limits.flat:
            return not tx.shelves.opened() and top.has_room(size, self.limits.first)
        self._require_room(top.bytes + size)
        return True

    def resize(
        self, tx: Transaction, name: PackageName, package_id: PackageId, old: Entry, new: Entry
    ) -> Signs:
        """An edited package stays where it is, unless its page would become too large for devices."""
        role, more = tx.shelves.holding(package_id), size_of(new) - size_of(old)
        page = tx.shelves.get(role)
        if self.limits.flat:
            self._require_room(page.bytes + more)
        fits = self.limits.flat or page.bytes + more <= ENTRIES_BYTES
        if fits or role == TARGETS:
            tx.shelves.count(role, 0, more)
            return frozenset({role}) if fits else self.spread(tx)
        tx.shelves.count(role, -1, -size_of(old))
        other, signs = self.put(tx, name, package_id, new)
        tx.shelves.move({package_id: other})
        return signs | {role}

    def take(self, tx: Transaction, name: PackageName, package_id: PackageId, entry: Entry) -> Signs:
        """Call it before the package's row is removed."""
        role = tx.shelves.holding(package_id)
        tx.shelves.count(role, -1, -size_of(entry))
        return self._left(tx, name, role)

    def _left(self, tx: Transaction, name: PackageName, role: str) -> Signs:
        """After a package of this name left its page: an empty one is delegated to no more, so that it does
        not count among what a client looks through, unless it is where new versions go."""
        if role == TARGETS or tx.shelves.get(role).targets:
            return frozenset({role})
        newest = tx.shelves.newest_page(name)
        return frozenset({role} if newest and newest.role == role else {role, TARGETS})

    def delegations(self, tx: Transaction, keys: RoleKeys) -> Delegations:
        """What targets.json says of our own shelves."""
        if self.limits.flat or not tx.shelves.opened():
            return Delegations()
        return delegations(tx.shelves.stated(), keys.keys[TARGETS], keys.thresholds[TARGETS])

    def settle(self, tx: Transaction) -> Signs:
        """Lay everything out as the settings ask. Raises Conflict, or TooLarge where that cannot be."""
        if self.limits.flat:
            return self._flatten(tx)
        top, pages = tx.shelves.get(TARGETS), tx.shelves.delegated()
        if not top.targets:
            # An empty repository may have been flat until now, and delegates to nobody then.
            was_empty = pages and not any(page.targets for page in pages)
            return frozenset({TARGETS}) if was_empty else frozenset()
        fits = top.targets <= self.limits.first and top.bytes <= ENTRIES_BYTES
        return frozenset() if fits and not pages else self.spread(tx)

    def spread(self, tx: Transaction) -> Signs:
        """Move all packages off targets.json, if there are any."""
        if not tx.shelves.get(TARGETS).targets:
            return Signs()
        moved = {
            package_id: self._place(tx, name, tx.shelves.newest_page(name), size)[0]
            for name, package_id, size in list(tx.shelves.placed(TARGETS))
        }
        _empty(tx, TARGETS)
        tx.shelves.move(moved)
        require_findable(tx)
        return frozenset(moved.values()) | {TARGETS}

    def _flatten(self, tx: Transaction) -> Signs:
        """Bring all packages back into targets.json. Empty pages stay listed, without being delegated to."""
        full = [page for page in tx.shelves.delegated() if page.targets]
        if not full:
            return frozenset()
        size = sum(page.bytes for page in full)
        self._require_room(tx.shelves.get(TARGETS).bytes + size)
        for page in full:
            tx.shelves.move({package_id: TARGETS for _, package_id, _ in tx.shelves.placed(page.role)})
            _empty(tx, page.role)
        tx.shelves.count(TARGETS, sum(page.targets for page in full), size)
        return frozenset(page.role for page in full) | {TARGETS}

    def require_readable(self, release: Release, before: Release | None) -> None:
        """Refuse what makes targets.json longer than devices read, judged on what is signed: names, sources
        and keys are in it, too. One that is too long already may be signed again, and become shorter.
        Raises TooLarge."""
        size, was = _size(release.targets), _size(before.targets) if before else 0
        if size > was:
            self._require_room(size)
        if was < self.limits.warning_bytes <= size:
            log.warning("targets.json has %d bytes; devices read %d", size, self.limits.top_bytes)

    def _require_room(self, size: int) -> None:
        if size > self.limits.top_bytes:
            raise TooLarge(
                f"targets.json would have about {size} bytes, and devices read at most "
                f"{self.limits.top_bytes}. {self.limits.advice}"
            )

    def _place(self, tx: Transaction, name: PackageName, page: Shelf | None, size: int) -> tuple[str, bool]:
        """A page with room, counted, and whether patterns changed for it. `page`: the newest of the name."""
        opened = page is None
        if page is None:
            page = self._shelf_for(tx, name)
        if not page.has_room(size, self.limits.page):
            page = self._next_page(tx, page, size)
            opened = True
        tx.shelves.count(page.role, 1, size)
        return page.role, opened

    def _shelf_for(self, tx: Transaction, name: PackageName) -> Shelf:
        own = tx.shelves.opened() < self.limits.own
        shelf = self._opened(tx, None, 0) if own else tx.shelves.emptiest()
        tx.shelves.assign(name, shelf.first)
        tx.shelves.state(shelf.first, *stated(tx.shelves.mates(name)))
        return shelf

    def _next_page(self, tx: Transaction, full: Shelf, size: int) -> Shelf:
        """Rather one that deletions emptied than one more: neither pages nor what devices are told of them
        grow with the packages that come and go."""
        page, number = tx.shelves.sparsest(full.first), full.page + 1
        if page.is_sparse(self.limits.page) and page.has_room(size, self.limits.page):
            tx.shelves.renumber(page.role, number)
            return replace(page, page=number)
        return self._opened(tx, full.first, number)

    def _opened(self, tx: Transaction, first: str | None, page: int) -> Shelf:
        role = role_of(tx.shelves.opened() + 1)
        shelf = Shelf(role, first or role, page)
        tx.shelves.open(shelf)
        return shelf


def _empty(tx: Transaction, role: str) -> None:
    page = tx.shelves.get(role)
    tx.shelves.count(role, -page.targets, -page.bytes)


def require_findable(
    tx: Transaction, changed: Sequence[PackageName] | None = None, ids: Sequence[PackageId] = ()
) -> None:
    """Refuse what would hide a package, also another publisher's, from TUF clients: `changed` are names whose
    patterns are new (None: all, or the sources are others), `ids` new packages. Raises Conflict."""
    crowding = _crowding(tx, UNKNOWN if changed is None else _near(tx, changed, ids))
    if crowding is None:
        return
    suspects = list(crowding.suspects(changed))
    own = (one for name in suspects for one in tx.shelves.ids(name))
    foreign = crowding.near(suspects, tx.shelves.foreign_ids() if suspects else ())
    found = crowded(crowding, [*ids, *own, *foreign])
    if found:
        raise Conflict(
            f"{_give_up(found)} Use another name, delete packages that fill its pages, or give sources "
            "narrower patterns.",
            cause=sorted(found)[:10],
        )


def require_listed_findable(tx: Transaction, accepted: Accepted) -> None:
    """Refuse a publisher's list where own pages and sources would hide a package of it. Raises
    SourceOutOfBounds."""
    listed = [package.id for package in accepted.packages]
    begun = list({text for one in listed for text in prefixes(one)})
    pieces = [begun[start : start + _AT_ONCE] for start in range(0, len(begun), _AT_ONCE)]
    crowding = _crowding(tx, sum(map(tx.shelves.pages_of, pieces)))
    if crowding is not None and (found := crowded(crowding, listed)):
        raise SourceOutOfBounds(
            f"{_give_up(found)} Its publisher is {accepted.file.source}. Delete own packages that fill the "
            "pages of names with which it begins, or give sources narrower patterns.",
            cause=sorted(found)[:10],
        )


def _crowding(tx: Transaction, pages: int) -> Crowding | None:
    """None where these pages and all sources are few enough for any id."""
    if pages + SOURCES <= MOST_MATCHING:
        return None
    sources = [source.delegation.paths for source in tx.sources.every() if source.removed_at is None]
    if pages + len(sources) <= MOST_MATCHING:
        return None
    return Crowding(tx.shelves.named(), sources)


def _give_up(found: Mapping[PackageId, int]) -> str:
    worst = max(found, key=lambda one: found[one])
    return (
        f"Devices would have to look through {found[worst]} roles for {worst[:200]!a} and give up after "
        f"{MOST_MATCHING}: too many names that begin alike, pages or sources match it."
    )


def _near(tx: Transaction, changed: Sequence[PackageName], ids: Sequence[PackageId]) -> int:
    """The pages that can match one of these, where that can be told without looking at all names: of the
    names that a text begins with. Names that begin with a changed one may be matched by its pages, too."""
    if not all(map(is_exact, changed)) or tx.shelves.extend(changed):
        return UNKNOWN
    begun = [text for one in (*changed, *ids) for text in prefixes(one)]
    return tx.shelves.pages_of([*begun, *changed])


def _size(targets: RoleFile) -> int:
    """Without the version, which becomes longer by itself."""
    return targets.length - len(str(targets.version))
