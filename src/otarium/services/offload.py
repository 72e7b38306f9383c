"""Bringing a copy of what devices fetch up to the current release, and keeping it free of what is gone.

The copy is its own record: its timestamp names a snapshot, which names the version of every role, and all
of them are there. So a run that was killed, or that somebody else made, is simply gone on from.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from otarium.domain.errors import Conflict, NotFound, Unavailable
from otarium.domain.names import PackageId, Sha256, SourceName
from otarium.domain.offloaded import (
    TIMESTAMP,
    Kind,
    Listed,
    Place,
    blob_names,
    packages_of,
    place_of,
    plain_name,
    role_name,
    version_of,
    versions_of,
)
from otarium.domain.release import Release
from otarium.domain.roles import ROLE_NAMES, TARGETS, Dialect, RoleFile, listed_versions
from otarium.domain.shelves import is_shelf
from otarium.services.metadata import Metadata
from otarium.services.ports import Catalog, Clock, Transaction
from otarium.services.ports_blobs import BlobStore
from otarium.services.ports_offload import OffloadTarget
from otarium.services.source_files import SourceFiles

log = logging.getLogger(__name__)

NAMES_AT_ONCE = 200
"""Of a sweep, which the next release has to wait for."""
LEAST_GRACE = 60
"""Seconds; what is listed may be a moment older than the catalog."""

Versions = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Served:
    """What the copy shows: a release, and the versions that its snapshots list."""

    number: int = 0
    listed: Mapping[Dialect, Versions] = field(default_factory=dict)

    def lists(self, dialect: Dialect, role: str) -> int | None:
        return self.listed.get(dialect, {}).get(role)


class Offload:
    """One thread at a time."""

    def __init__(
        self,
        target: OffloadTarget,
        catalog: Catalog,
        metadata: Metadata,
        source_files: SourceFiles,
        blobs: BlobStore,
        clock: Clock,
        grace: int,
    ) -> None:
        """`grace`: how many seconds a deleted package stays."""
        self._target = target
        self._catalog = catalog
        self._metadata = metadata
        self._source_files = source_files
        self._blobs = blobs
        self._clock = clock
        self._grace = max(grace, LEAST_GRACE)
        self._known = Served()
        self._roots = 0
        self._walk: Iterator[str] | None = None

    def shown(self) -> int:
        """The release that the copy shows, 0 for none."""
        raw = self._target.read(TIMESTAMP)
        return version_of(raw) if raw else 0

    def compare(self) -> int:
        """The same, but raises what `push` would, for nothing is changed."""
        served = self._served()
        if served.number > self._metadata.current.number:
            self._require_behind(served)
        return served.number

    def push(self) -> int:
        """The release that the copy shows now. Raises Conflict where it is ahead of the catalog, or of
        another repository."""
        with self._target.held():
            served, release = self._served(), self._metadata.current
            if served.number > release.number:
                self._require_behind(served)
                return served.number
            if served.number < release.number:
                try:
                    self._bring(served, release)
                except NotFound:
                    log.warning("the offload target has lost files; all of them are looked for")
                    self._roots = 0
                    self._bring(Served(), release, anew=True)
            return release.number

    def _served(self) -> Served:
        raw = self._target.read(TIMESTAMP)
        number = version_of(raw) if raw else 0
        if raw is None or number != self._known.number:
            self._require_ours()
            self._roots = 0
            self._known = Served(number, self._listed_by(raw) if raw else {})
        return self._known

    def _listed_by(self, timestamp: bytes) -> Mapping[Dialect, Versions]:
        version = versions_of(timestamp)["snapshot"]
        snapshots = {
            dialect: self._target.read(role_name(dialect, "snapshot", version)) for dialect in Dialect
        }
        return {dialect: versions_of(raw) for dialect, raw in snapshots.items() if raw}

    def _require_ours(self) -> None:
        theirs, ours = (
            self._target.read(role_name(Dialect.TUF, "root", 1)),
            self._metadata.versioned("root", 1),
        )
        if theirs is not None and ours is not None and theirs != ours.tuf.raw:
            raise Conflict("The offload target holds another repository; give this one a place of its own.")

    def _require_behind(self, served: Served) -> None:
        with self._catalog.read() as tx:
            newest = tx.roles.counters().timestamp
        if newest < served.number:
            raise Conflict(
                f"The offload target shows release {served.number}, but the catalog ends with {newest}: "
                "restore the newest copy. The target is left as it is."
            )

    def _bring(self, served: Served, release: Release, *, anew: bool = False) -> None:
        """What lists others after them, then what is asked for by plain names. `anew`: nothing that is there
        vouches for what it lists."""
        listed = {dialect: listed_versions(release.snapshot, dialect) for dialect in Dialect}
        plain: dict[str, str] = {}
        for dialect, versions in listed.items():
            plain |= self._put_sources(dialect, versions, served)
        self._put_pages(served, release, anew)
        for number in range(self._roots + 1, release.root.version + 1):
            self._put(self._own("root", number))
        tops = (release.root, release.snapshot, release.timestamp)
        for file in tops[1:]:
            self._put(file)
        for dialect in Dialect:
            plain |= {
                plain_name(dialect, one.role): role_name(dialect, one.role, one.version) for one in tops
            }
        if not self._target.swaps:
            plain = {TIMESTAMP: plain[TIMESTAMP]}
        self._target.switch(release.number, plain)
        self._known, self._roots = Served(release.number, listed), release.root.version

    def _put_pages(self, served: Served, release: Release, anew: bool) -> None:
        """The changed files that list packages, each after the packages that it lists and the files before
        did not. So one that is there has its packages there, and a first copy that takes longer than old
        files are kept is gone on from with the release that is the newest then."""
        versions = {TARGETS: release.targets.version, **release.shelves}
        changed = {
            role: version for role, version in versions.items() if served.lists(Dialect.TUF, role) != version
        }
        known: set[Listed] = set()
        for role in changed:
            before = served.lists(Dialect.TUF, role)
            raw = self._target.read(role_name(Dialect.TUF, role, before)) if before else None
            known.update(packages_of(raw) if raw else ())
        *_, put_last = Dialect
        for role, version in changed.items():
            if anew or self._target.read(role_name(put_last, role, version)) is None:
                file = self._own(role, version)
                for package in packages_of(file.tuf.raw):
                    if package not in known:
                        self._put_package(package)
                self._put(file)

    def _put_package(self, package: Listed) -> None:
        blob = self._blobs.open(package.sha256)
        if blob is not None:
            with blob:
                self._target.put_blob(blob_names(package), package.sha256, blob)
        elif not package.elsewhere:
            log.warning("%s has no bytes in the store; the offload goes on without", ascii(package.id))

    def _put_sources(self, dialect: Dialect, versions: Versions, served: Served) -> dict[str, str]:
        """Put what others signed and is not there yet; plain name -> versioned name of all listed roles that
        devices ask for by such."""
        plain = {}
        for role, version in versions.items():
            name = role_name(dialect, role, version)
            if not is_shelf(role):
                file = self._source_files.versioned(SourceName(role), dialect, version)
                if file is None:
                    continue
                if served.lists(dialect, role) != version:
                    self._target.put(name, file.signed.raw, version)
            if dialect is Dialect.UPTANE or role in ROLE_NAMES:
                plain[plain_name(dialect, role)] = name
        return plain

    def _put(self, file: RoleFile) -> None:
        for dialect in Dialect:
            name = role_name(dialect, file.role, file.version)
            self._target.put(name, file.in_dialect(dialect).raw, file.version)

    def _own(self, role: str, version: int) -> RoleFile:
        file = self._metadata.versioned(role, version)
        if file is None:
            raise Unavailable(f"{role} {version} is not kept any more; a newer release is on its way.")
        return file

    def sweep(self) -> bool:
        """Look at a few names, and remove those that the server answers no more; whether there are more."""
        with self._target.held():
            if self._served().number != self._metadata.current.number:
                return True
            self._walk = self._walk or self._target.names()
            names = list(islice(self._walk, NAMES_AT_ONCE))
            if not names:
                self._walk = None
                return False
            with self._catalog.read() as tx:
                gone = [name for name in names if self._is_gone(tx, place_of(name))]
            for name in gone:
                self._target.delete(name)
        return True

    def _is_gone(self, tx: Transaction, place: Place | None) -> bool:
        if place is None:
            return False
        since = self._clock.now() - self._grace
        if place.kind is Kind.HASHED:
            return tx.packages.with_hash(Sha256(place.key), since) is None
        if place.kind is Kind.PLAIN:
            package_id = PackageId(place.key)
            deleted = tx.packages.deleted(package_id)
            return tx.packages.get(package_id) is None and (deleted is None or deleted.deleted_at < since)
        if self._known.lists(place.dialect, place.role) == place.version:
            return False
        if place.role in ROLE_NAMES or is_shelf(place.role):
            return tx.roles.file(place.role, place.version) is None
        return tx.sources.file(SourceName(place.role), place.dialect, place.version) is None
