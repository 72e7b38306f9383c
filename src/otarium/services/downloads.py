"""What devices download: a package by its target name, or by the hash in `[dir/]HASH.NAME`.

A deleted package stays for a grace, for devices that are one release behind.
"""

from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import quote

from otarium.domain.errors import NotFound, PackageNotFound
from otarium.domain.names import PackageId, Sha256
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
        """One of our own packages by id, as it stands in signed metadata."""
        package_id = PackageId.lookup(name)
        with self._catalog.read() as tx:
            package = tx.packages.get(package_id)
            deleted = None if package else tx.packages.deleted(package_id)
        if package is not None:
            return replace(package.content, location=package.uri if package.content.location else None)
        return deleted.content if deleted and deleted.deleted_at >= self._grace_start() else None

    def by_hash(self, sha256: Sha256) -> Content | None:
        """Only what is, or was until just now, a package of ours: bytes alone authorise nothing."""
        with self._catalog.read() as tx:
            return tx.packages.with_hash(sha256, self._grace_start())

    def external(self, names: Iterable[str], sha256: Sha256 | None) -> Content | None:
        """A package of another source, by one of the ids it may have, or by its hash. Always asked last: no
        publisher can put a name or a hash before ours."""
        with self._catalog.read() as tx:
            found = map(tx.packages.find, map(PackageId.lookup, names))
            package = next((one for one in found if one is not None), None)
            if package is None and sha256 is not None:
                package = tx.packages.external_with_hash(sha256)
            return _external(package, tx.sources.get(package.source)) if package else None

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
