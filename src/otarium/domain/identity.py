"""What a package id stands for: the same content for ever.

The same content again is the same package, so a retry is safe; any other is a conflict, also after a
deletion, since devices that installed the old bytes would refuse the new ones under the same name.
"""

from typing import Protocol

from otarium.domain.errors import Conflict
from otarium.domain.names import PackageId, PackageName, PackageVersion
from otarium.domain.packages import Content


class Named(Protocol):
    """A package, an upload or a new package."""

    @property
    def id(self) -> PackageId: ...
    @property
    def name(self) -> PackageName: ...
    @property
    def version(self) -> PackageVersion: ...


def require_same_names(known: Named, new: Named) -> None:
    """("a-b", "c") and ("a", "b-c") share an id. Raises Conflict."""
    if (known.name, known.version) != (new.name, new.version):
        raise Conflict(
            f"The id {new.id} already belongs to name {known.name!r} with version {known.version!r}; "
            "choose a name or version that makes another id."
        )


def require_same(known: Content, new: Content, package_id: PackageId) -> None:
    """Raises Conflict that says what differs."""
    if known == new:
        return
    what = ", ".join(
        word
        for word, differs in (
            ("bytes", (known.sha256, known.length) != (new.sha256, new.length)),
            ("target format", known.format != new.format),
            ("hardware ids", known.hardware_ids != new.hardware_ids),
            ("location", known.location != new.location),
        )
        if differs
    )
    raise Conflict(
        f"The package {package_id} exists with other {what}. A package never changes its content: "
        "upload under a new version.",
        description="Entity already exists: TargetItem",
    )


def require_same_bytes(deleted: Content, new: Content, package_id: PackageId) -> None:
    """A deleted package may come back with other hardware ids, not with other bytes. Raises Conflict."""
    if (deleted.sha256, deleted.length, deleted.format) != (new.sha256, new.length, new.format):
        raise Conflict(
            f"The package {package_id} was deleted and can only come back with the same bytes: devices that "
            "installed the old ones would refuse others under this id. Upload under a new version, or set "
            "OTARIUM_REUSE_DELETED_VERSIONS=true."
        )
