"""What devices are served: the current release in memory, older ones as long as they are remembered.

A release is swapped as one value and only upward. `is_fresh` costs a microsecond, so every device GET asks.
"""

import logging
import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from otarium.domain.errors import Broken, Unavailable
from otarium.domain.release import Release
from otarium.domain.roles import TARGETS, RoleFile, listed_versions
from otarium.domain.shelves import is_shelf
from otarium.domain.versions import ShelfVersions
from otarium.services.ports import Announcements, Catalog, Changes, Transaction
from otarium.services.recent import Recent

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Retention:
    """How long bytes of replaced files are kept: those beyond the newest `files` of a role go `seconds`
    after they came to be so, or earlier where the sum of them, as they are served, is above `bytes`."""

    seconds: int = 3600
    files: int = 3
    bytes: int = 256 * 1024 * 1024


class Metadata:
    """Safe for any thread."""

    def __init__(
        self,
        catalog: Catalog,
        changes: Changes,
        announcements: Announcements,
        cache_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self._catalog = catalog
        self._changes = changes
        self._announcements = announcements
        self._next_look = 0.0
        self._seen = -1
        self._lock = threading.Lock()
        self._current: Release | None = None
        self.number = 0
        """Of the current release; 0 while nothing was published."""
        self._recent: Recent[RoleFile] = Recent(cache_bytes)
        self._recent_lock = threading.Lock()
        self.behind = False
        """Whether the catalog was found below what has been served (a restored backup, a bad disk)."""

    @property
    def current(self) -> Release:
        if self._current is None:
            raise Broken("nothing has been published yet")
        return self._current

    def is_fresh(self) -> bool:
        """Whether this is the newest release. Publishers announce theirs before they answer anybody; the
        catalog is asked now and then, for a publisher that died in between. No where it cannot be asked."""
        if self._announcements.announced() > self.number:
            return False
        now = time.monotonic()
        return now < self._next_look or self._look(now)

    def _look(self, now: float) -> bool:
        try:
            if self._current is None or self._changes.version() != self._seen:
                return False
        except Unavailable:
            return False
        self._next_look = now + LOOK_SECONDS
        return True

    def refresh(self) -> None:
        """Serve what was committed last. Raises Unavailable when the catalog cannot be read."""
        if self._current is not None:
            self._next_look = math.inf  # whoever asks meanwhile is served what there is
        try:
            self._refresh()
        finally:
            self._next_look = time.monotonic() + LOOK_SECONDS

    def _refresh(self) -> None:
        self._changes.version()  # where the catalog is away, nobody waits for who is stuck in it
        with self._lock:
            seen = self._changes.version()
            if seen == self._seen and self._announcements.announced() <= self.number:
                return
            with self._catalog.read() as tx:
                release = load_release(tx, self._current)
            if release is not None:
                self._swap(release)
            self._seen = seen

    def synchronise(self, tx: Transaction) -> Release | None:
        """The newest release as this transaction sees it. Raises Broken when it is below what was served."""
        release = load_release(tx, self._current)
        served = self._current
        if served is not None and (release is None or release.number < served.number):
            self.behind = True
            raise Broken("the catalog is older than what devices were served; restore the newest copy")
        return release

    def install(self, release: Release) -> None:
        with self._lock:
            self._swap(replace(release, feed=None))
        self._announcements.announce(release.number)

    def _swap(self, release: Release) -> None:
        current = self._current
        if current is not None and release.number < current.number:
            if not self.behind:
                log.critical(
                    "the catalog is at release %d, but %d was served; keeping the latter",
                    release.number,
                    current.number,
                )
            self.behind = True
            return
        self.behind = False
        for file in release.files():
            self._keep(file)
        self._current, self.number = release, release.number

    def plain(self, role: str, number: int | None) -> RoleFile | None:
        """The file that is served under a plain name to whoever saw release `number` last."""
        release = self.current
        if number is not None and number != release.number:
            file = self._as_of(number, role)
            if file is not None:
                return file
        if role in release.shelves:
            return self.versioned(role, release.shelves[role])
        top_level = (release.root, release.targets, release.snapshot, release.timestamp)
        return next((file for file in top_level if file.role == role), None)

    def versioned(self, role: str, version: int) -> RoleFile | None:
        """None when it never existed or is not kept any more. Every device asks for the root after the last,
        so that is answered from memory."""
        if role == "root" and version > self.current.root.version:
            return None
        with self._recent_lock:
            file = self._recent.get(role, version)
        if file is None:
            with self._catalog.read() as tx:
                file = tx.roles.file(role, version)
            if file is not None:
                self._keep(file)
        return file

    def _keep(self, file: RoleFile) -> None:
        with self._recent_lock:
            self._recent.put(file.role, file.version, file, file.uptane.length + file.tuf.length)

    def _as_of(self, number: int, role: str) -> RoleFile | None:
        """A file of an older release, found along the signed chain timestamp -> snapshot -> role."""
        timestamp = self.versioned("timestamp", number)
        if timestamp is None:
            return None
        snapshot = self.versioned("snapshot", listed_versions(timestamp)["snapshot"])
        if snapshot is None or role == "snapshot":
            return snapshot
        version = listed_versions(snapshot).get(role)
        return None if version is None else self.versioned(role, version)


def load_release(tx: Transaction, known: Release | None) -> Release | None:
    """The newest release of the catalog; files that `known` has are not read again."""
    counters = tx.roles.counters()
    if counters.timestamp == 0:
        return None
    if known is not None and known.counters == counters:
        return known
    have: Mapping[tuple[str, int], RoleFile] = (
        {(file.role, file.version): file for file in known.files()} if known else {}
    )

    def load(role: str, version: int) -> RoleFile:
        file = have.get((role, version)) or tx.roles.file(role, version)
        if file is None:
            raise Broken(f"{role} version {version} is missing from the catalog")
        return file

    timestamp = load("timestamp", counters.timestamp)
    snapshot = load("snapshot", listed_versions(timestamp)["snapshot"])
    listed = listed_versions(snapshot)
    if TARGETS not in listed:
        raise Broken("the newest snapshot does not list targets.json")
    shelves = {role: version for role, version in listed.items() if is_shelf(role) and role != TARGETS}
    root, targets = load("root", counters.root), load(TARGETS, listed[TARGETS])
    before = known.shelves if known else ShelfVersions()
    return Release(root, targets, snapshot, timestamp, counters, before.changed_to(shelves))
