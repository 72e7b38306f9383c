"""What devices download: a package by its target name, or by the hash in `[dir/]HASH.NAME`.

A deleted package stays for a grace, for devices that are one release behind.
"""

from dataclasses import replace
from urllib.parse import quote

from otarium.domain.errors import NotFound, PackageNotFound
from otarium.domain.names import OWN_SOURCE, PackageId, Sha256
from otarium.domain.packages import Content, Package, TargetFormat
from otarium.domain.sources import Source
from otarium.services.ports import Catalog, Clock


class Downloads:
    """Methods block; call them from a worker thread. `grace` in seconds."""

    def __init__(self, catalog: Catalog, clock: Clock, grace: int) -> None:
        self._catalog = catalog
        self._clock = clock
        self._grace = grace

    def by_name(self, name: str) -> Content | None:
        """By package id, as it stands in signed metadata."""
        package_id = PackageId.lookup(name)
        with self._catalog.read() as tx:
            package = tx.packages.find(package_id)
            deleted = None if package else tx.packages.deleted(package_id)
            if package is not None and package.source != OWN_SOURCE:
                return _external(package, tx.sources.get(package.source))
        if package is not None:
            return replace(package.content, location=package.uri if package.content.location else None)
        return deleted.content if deleted and deleted.deleted_at >= self._grace_start() else None

    def by_hash(self, sha256: Sha256) -> Content | None:
        """Only what is, or was until just now, a package: bytes alone authorise nothing."""
        with self._catalog.read() as tx:
            content = tx.packages.with_hash(sha256, self._grace_start())
            if content is not None:
                return content
            external = tx.packages.external_with_hash(sha256)
            return _external(external, tx.sources.get(external.source)) if external else None

    def _grace_start(self) -> int:
        return self._clock.now() - self._grace


def _external(package: Package, source: Source | None) -> Content:
    """The bytes of another publisher stay where its list, or its bundle, says that they are."""
    place = package.uri
    if place is None and source is not None and source.fetching.targets_uri is not None:
        place = source.fetching.targets_uri + quote(package.id, safe="/~")
    if place is None and package.content.format is not TargetFormat.OSTREE:
        raise NotFound(
            f"{package.id[:300]!a} is listed by {package.source}, which does not say where it lies."
        )
    return replace(package.content, location=place)


def require_bytes(content: Content | None, name: str) -> Content:
    """Raises NotFound, also when the repository carries no bytes for it."""
    if content is None:
        raise PackageNotFound(f"No package is stored as {name[:300]!a}.")
    if content.format is TargetFormat.OSTREE:
        raise NotFound(f"{name[:300]!a} is an OSTree commit: devices pull it from its OSTree remote.")
    return content
