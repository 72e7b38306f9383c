"""Packages: add, edit, delete, list.

A package id never changes its content: the same content again is the same package, any other is a
conflict, also after a deletion, since devices that installed the old bytes would refuse the new.
"""

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass

from otarium.domain import identity
from otarium.domain.access import Actor, Scope
from otarium.domain.errors import (
    Invalid,
    PackageNotFound,
    PreconditionFailed,
    Unavailable,
)
from otarium.domain.listed import Listed, Page
from otarium.domain.names import PackageId
from otarium.domain.packages import (
    Content,
    NewPackage,
    Package,
    PackageEdit,
    PackageQuery,
)
from otarium.services.ports import Catalog, Transaction
from otarium.services.ports_blobs import BlobStore
from otarium.services.publishing import Outcome, Publisher
from otarium.services.shelving import Shelving
from otarium.services.sources import require_no_confusion

CHUNK = 250


@dataclass(frozen=True, slots=True)
class Limits:
    """What one upload may take. Bytes."""

    package_bytes: int = 5 * 1024**3
    reserve_bytes: int = 64 * 1024**2
    """Free space that uploads leave for metadata, so that renewal goes on when the disk is full."""
    reuse_deleted_versions: bool = False


class Packages:
    """Methods block; call them from a worker thread. Each checks that the actor may.

    External packages are seen here, in lists and by `get`; only our own are ever changed.
    """

    def __init__(
        self,
        catalog: Catalog,
        blobs: BlobStore,
        publisher: Publisher,
        shelving: Shelving,
        limits: Limits,
    ) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._publisher = publisher
        self._shelving = shelving
        self._limits = limits

    def add(self, actor: Actor, new: NewPackage, accept_overlap: bool = False) -> "Future[Package]":
        """Its bytes are a committed blob, or live at `new.content.location` and are not fetched."""
        actor.require(Scope.WRITE)
        return self._publisher.submit(lambda tx, now: self._add(tx, now, actor, new, accept_overlap))

    def _add(
        self, tx: Transaction, now: int, actor: Actor, new: NewPackage, accept_overlap: bool
    ) -> Outcome[Package]:
        if not tx.packages.would_be_next(new.name, new.id):
            known = tx.packages.get(new.id)
            if known is not None:
                identity.require_same_names(known, new)
                identity.require_same(known.content, new.content, new.id)
                return Outcome(known)
            deleted = tx.packages.deleted(new.id)
            if deleted is not None and not self._limits.reuse_deleted_versions:
                identity.require_same_bytes(deleted.content, new.content, new.id)
            if not (deleted or accept_overlap):
                require_no_confusion(tx, new.name, new.id)
        if new.content.location is None:
            self._keep_blob(tx, new.content)
        package = Package(
            id=new.id,
            name=new.name,
            version=new.version,
            content=new.content,
            hardware_ids=new.hardware_ids,
            uri=new.content.location,
            comment=None,
            meta=None,
            created_at=now,
            updated_at=now,
            revision=tx.packages.next_revision(),
        )
        entry = package.entry()
        role, signs = self._shelving.put(tx, package.name, package.id, entry)
        tx.packages.add(package, role, entry)
        tx.journal.record(now, actor.name, "package.add", package.id, package.content.sha256)
        return Outcome(package, signs)

    def _keep_blob(self, tx: Transaction, content: Content) -> None:
        """The bytes are looked for under the writer's lock, as the sweep decides under it too."""
        if not (tx.blobs.keep(content.sha256, content.length) and self._blobs.exists(content.sha256)):
            raise Unavailable("The same bytes were just being removed; send them again.", retry_after=1)

    def edit(
        self, actor: Actor, package_id: PackageId, edit: PackageEdit, if_match: str | None = None
    ) -> "Future[Package]":
        actor.require(Scope.WRITE)

        def change(tx: Transaction, now: int) -> Outcome[Package]:
            package = _existing(tx, package_id)
            _check_match(package, if_match)
            if package.content.location is not None and edit.uri is None:
                raise Invalid("uri is where the bytes of this package live; it can be changed, not cleared.")
            revision = tx.packages.next_revision()
            edited = edit.applied_to(package, now, revision)
            if edited is package:
                return Outcome(package)
            old, entry = package.entry(), edited.entry()
            tx.packages.replace(edited, entry)
            tx.journal.record(now, actor.name, "package.edit", package_id)
            if entry == old:
                return Outcome(edited)
            return Outcome(edited, self._shelving.resize(tx, edited.name, package_id, old, entry))

        return self._publisher.submit(change)

    def delete(self, actor: Actor, package_id: PackageId, if_match: str | None = None) -> "Future[None]":
        actor.require(Scope.WRITE)

        def change(tx: Transaction, now: int) -> Outcome[None]:
            package = _existing(tx, package_id)
            _check_match(package, if_match)
            signs = self._shelving.take(tx, package.name, package_id, package.entry())
            tx.packages.remove(package, tx.packages.next_revision(), now)
            if package.content.location is None:
                tx.blobs.release(package.content.sha256, now)
            tx.journal.record(now, actor.name, "package.delete", package_id, package.content.sha256)
            return Outcome(None, signs)

        return self._publisher.submit(change)

    def get(self, actor: Actor, package_id: PackageId) -> Package:
        """Raises PackageNotFound."""
        actor.require(Scope.READ)
        with self._catalog.read() as tx:
            return _found(tx.packages.find(package_id), package_id)

    def search(self, actor: Actor, query: PackageQuery) -> Page:
        """A page of at most a few thousand packages; use `walk` for more."""
        actor.require(Scope.READ)
        with self._catalog.read() as tx:
            return tx.packages.search(query)

    def walk(self, actor: Actor, query: PackageQuery) -> tuple[int, Iterator[list[Listed]]]:
        """The total, and all of `query.limit` in chunks; no transaction is open between two chunks."""
        actor.require(Scope.READ)
        with self._catalog.read() as tx:
            total, cursor = tx.packages.count(query)

        def chunks() -> Iterator[list[Listed]]:
            position, skip, left = cursor, min(query.offset, total), min(query.limit, total)
            while left > 0:
                with self._catalog.read() as tx:
                    values, position = tx.packages.chunk(query, position, skip, min(CHUNK, left))
                if not values:
                    return
                yield values
                skip, left = 0, left - len(values)

        return total, chunks()


def _existing(tx: Transaction, package_id: PackageId) -> Package:
    return _found(tx.packages.get(package_id), package_id)


def _found(package: Package | None, package_id: PackageId) -> Package:
    if package is None:
        raise PackageNotFound(
            f"There is no package {package_id[:300]!a} in this repository.", description="TargetNotFound"
        )
    return package


def _check_match(package: Package, if_match: str | None) -> None:
    if if_match is None or if_match.strip() == "*":
        return
    if package.etag not in [one.strip() for one in if_match.split(",")]:
        raise PreconditionFailed(
            f"The package {package.id} was changed meanwhile: its ETag is {package.etag}, "
            f"If-Match says {if_match[:80]!a}. Read it again."
        )
