"""Packages: upload, reference, edit, delete, list.

An upload has two halves: `begin_upload` refuses before a byte travels, `finish_upload` publishes staged
bytes. A package id never changes its content: the same content again is the same package, any other is
a conflict, also after a deletion, since devices that installed the old bytes would refuse the new.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from otarium.domain import identity
from otarium.domain.access import Actor, Scope
from otarium.domain.errors import (
    Invalid,
    PackageNotFound,
    PreconditionFailed,
    StorageFull,
    TooLarge,
    Unavailable,
)
from otarium.domain.names import HardwareId, PackageId, PackageName, PackageVersion, Sha256
from otarium.domain.packages import (
    Content,
    Entry,
    NewPackage,
    Package,
    PackageEdit,
    PackageQuery,
    Page,
    TargetFormat,
)
from otarium.domain.shelves import shelf_of
from otarium.services.ports import Catalog, Clock, Transaction
from otarium.services.ports_blobs import BlobStore, StagedBlob
from otarium.services.publishing import Outcome, Publisher
from otarium.services.sources import require_no_confusion

CHUNK = 250


@dataclass(frozen=True, slots=True)
class Limits:
    """What one upload may take. Bytes."""

    package_bytes: int = 5 * 1024**3
    reserve_bytes: int = 64 * 1024**2
    """Free space that uploads leave for metadata, so that renewal goes on when the disk is full."""
    reuse_deleted_versions: bool = False


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload that was announced; `sha256` is what the client says it will be, if it says."""

    name: PackageName
    version: PackageVersion
    hardware_ids: tuple[HardwareId, ...]
    length: int
    sha256: Sha256 | None = None
    accept_overlap: bool = False
    """The uploader's yes to a new name that an external source may publish too."""

    @property
    def id(self) -> PackageId:
        return PackageId.of(self.name, self.version)

    def content(self, known: Content) -> Content:
        """What it will hold, as far as its headers tell; the hash taken as that of `known` if unsaid."""
        sha256 = self.sha256 or known.sha256
        return Content(TargetFormat.BINARY, sha256, self.length, frozenset(self.hardware_ids))


class Packages:
    """Methods block; call them from a worker thread. Each checks that the actor may.

    External packages are seen here, in lists and by `get`; only our own are ever changed.
    """

    def __init__(
        self, catalog: Catalog, blobs: BlobStore, publisher: Publisher, clock: Clock, limits: Limits
    ) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._publisher = publisher
        self._clock = clock
        self._limits = limits
        self._lock = threading.Lock()
        self._arriving: Counter[Sha256] = Counter()
        """Hashes of uploads that are committed and wait for the publisher."""

    def begin_upload(self, actor: Actor, upload: Upload, announced_elsewhere: int = 0) -> StagedBlob:
        """Raises whatever is already known to refuse the upload; else a place for the bytes.

        `announced_elsewhere` is the number of bytes that other running uploads will still write.
        """
        actor.require(Scope.WRITE)
        if upload.length < 1:
            raise Invalid("A package has at least one byte; the body is empty.")
        if upload.length > self._limits.package_bytes:
            raise TooLarge(
                f"The package has {upload.length} bytes, at most {self._limits.package_bytes} are allowed."
            )
        self._require_new_or_same(upload)
        needed = upload.length + announced_elsewhere + self._limits.reserve_bytes
        if self._blobs.free_bytes() < needed:
            raise StorageFull(
                f"There is not enough free space for {upload.length} bytes; free some or retry later.",
                retry_after=30,
            )
        return self._blobs.stage()

    def finish_upload(self, actor: Actor, upload: Upload, staged: StagedBlob) -> "Future[Package]":
        """Publish the staged bytes. When this, or the future, raises, the caller calls `discard`."""
        sha256, length = staged.finish()
        if length != upload.length:
            raise Invalid(f"{upload.length} bytes were announced but {length} arrived; send the whole body.")
        if upload.sha256 is not None and upload.sha256 != sha256:
            raise Invalid(
                f"The body has sha256 {sha256}, not {upload.sha256} as its header says; send again."
            )
        content = Content(TargetFormat.BINARY, sha256, length, frozenset(upload.hardware_ids))
        new = NewPackage(upload.name, upload.version, upload.hardware_ids, content)
        with self._lock:
            self._arriving[sha256] += 1
        try:
            staged.commit()
            accepted = upload.accept_overlap
            future = self._publisher.submit(lambda tx, now: self._add(tx, now, actor, new, accepted))
        except BaseException:
            self._arrived(sha256)
            raise
        future.add_done_callback(lambda _: self._arrived(sha256))
        return future

    def _arrived(self, sha256: Sha256) -> None:
        with self._lock:
            self._arriving[sha256] -= 1
            if not self._arriving[sha256]:
                del self._arriving[sha256]

    def discard(self, staged: StagedBlob) -> None:
        """Remove the bytes of a refused upload, unless a package or another upload has the same."""
        staged.cancel()
        sha256 = staged.sha256
        if sha256 is not None:
            with self._catalog.write(durable=False) as tx, self._lock:
                if sha256 not in self._arriving and not tx.blobs.is_known(sha256):
                    self._blobs.delete(sha256)

    def _require_new_or_same(self, upload: Upload) -> None:
        """Raises Conflict where the headers alone tell it; the publisher looks again, at the bytes."""
        with self._catalog.read() as tx:
            known = tx.packages.get(upload.id)
            deleted = None if known else tx.packages.deleted(upload.id)
            if not (known or deleted or upload.accept_overlap):
                require_no_confusion(tx, upload.name, upload.id)
        if known is not None:
            identity.require_same_names(known, upload)
            identity.require_same(known.content, upload.content(known.content), known.id)
        elif deleted is not None and not self._limits.reuse_deleted_versions:
            identity.require_same_bytes(deleted.content, upload.content(deleted.content), deleted.id)

    def add_reference(self, actor: Actor, new: NewPackage, accept_overlap: bool = False) -> "Future[Package]":
        """Add a package whose bytes live at `new.content.location`; they are not fetched."""
        actor.require(Scope.WRITE)
        return self._publisher.submit(lambda tx, now: self._add(tx, now, actor, new, accept_overlap))

    def _add(
        self, tx: Transaction, now: int, actor: Actor, new: NewPackage, accept_overlap: bool
    ) -> Outcome[Package]:
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
        entry, shelf = package.entry(), shelf_of(package.name)
        tx.packages.add(package, shelf, entry)
        tx.journal.record(now, actor.name, "package.add", package.id, package.content.sha256)
        return Outcome(package, {(shelf, package.id): entry})

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
            entries: Mapping[tuple[str, PackageId], Entry | None] = {}
            if entry != old:
                entries = {(shelf_of(edited.name), package_id): entry}
            return Outcome(edited, entries)

        return self._publisher.submit(change)

    def delete(self, actor: Actor, package_id: PackageId, if_match: str | None = None) -> "Future[None]":
        actor.require(Scope.WRITE)

        def change(tx: Transaction, now: int) -> Outcome[None]:
            package = _existing(tx, package_id)
            _check_match(package, if_match)
            tx.packages.remove(package, tx.packages.next_revision(), now)
            if package.content.location is None:
                tx.blobs.release(package.content.sha256, now)
            tx.journal.record(now, actor.name, "package.delete", package_id, package.content.sha256)
            return Outcome(None, {(shelf_of(package.name), package_id): None})

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

    def walk(self, actor: Actor, query: PackageQuery) -> tuple[int, Iterator[list[Package]]]:
        """The total, and all of `query.limit` in chunks; no transaction is open between two chunks."""
        actor.require(Scope.READ)
        with self._catalog.read() as tx:
            total, cursor = tx.packages.count(query)

        def chunks() -> Iterator[list[Package]]:
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
