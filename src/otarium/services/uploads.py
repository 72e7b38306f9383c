"""Uploads, in two halves: `begin` refuses before a byte travels, `finish` publishes staged bytes."""

from concurrent.futures import Future
from dataclasses import dataclass

from otarium.domain import identity
from otarium.domain.access import Actor, Scope
from otarium.domain.errors import Invalid, StorageFull, TooLarge
from otarium.domain.names import HardwareId, PackageId, PackageName, PackageVersion, Sha256
from otarium.domain.packages import Content, NewPackage, Package, TargetFormat
from otarium.services.packages import Limits, Packages
from otarium.services.ports import Catalog
from otarium.services.ports_blobs import BlobStore, StagedBlob
from otarium.services.renewal import Sweep
from otarium.services.sources import require_no_confusion


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


class Uploads:
    """Methods block; call them from a worker thread. Each checks that the actor may."""

    def __init__(
        self, catalog: Catalog, blobs: BlobStore, packages: Packages, limits: Limits, sweep: Sweep
    ) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._packages = packages
        self._limits = limits
        self._sweep = sweep

    def begin(self, actor: Actor, upload: Upload, announced_elsewhere: int = 0) -> StagedBlob:
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

    def finish(
        self, actor: Actor, upload: Upload, staged: StagedBlob, unwritten: bytes = b""
    ) -> "Future[Package]":
        """Publish the staged bytes and, after them, the unwritten. When this, or the future, raises, the
        caller calls `discard`."""
        staged.write(unwritten)
        sha256, length = staged.finish()
        if length != upload.length:
            raise Invalid(f"{upload.length} bytes were announced but {length} arrived; send the whole body.")
        if upload.sha256 is not None and upload.sha256 != sha256:
            raise Invalid(
                f"The body has sha256 {sha256}, not {upload.sha256} as its header says; send again."
            )
        content = Content(TargetFormat.BINARY, sha256, length, frozenset(upload.hardware_ids))
        new = NewPackage(upload.name, upload.version, upload.hardware_ids, content)
        staged.commit()
        return self._packages.add(actor, new, upload.accept_overlap)

    def discard(self, staged: StagedBlob) -> None:
        """Remove the bytes of a refused upload, unless a package has the same."""
        staged.cancel()
        if staged.sha256 is not None:
            self._sweep.discard(staged.sha256)

    def _require_new_or_same(self, upload: Upload) -> None:
        """Raises Conflict where the headers alone tell it; the publisher looks again, at the bytes."""
        with self._catalog.read() as tx:
            if tx.packages.would_be_next(upload.name, upload.id):
                return
            known = tx.packages.get(upload.id)
            deleted = None if known else tx.packages.deleted(upload.id)
            if not (known or deleted or upload.accept_overlap):
                require_no_confusion(tx, upload.name, upload.id)
        if known is not None:
            identity.require_same_names(known, upload)
            identity.require_same(known.content, upload.content(known.content), known.id)
        elif deleted is not None and not self._limits.reuse_deleted_versions:
            identity.require_same_bytes(deleted.content, upload.content(deleted.content), deleted.id)
