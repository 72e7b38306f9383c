"""What devices download: a package by its target name, or by name and hash of `[dir/]HASH.NAME`.

A deleted package stays for a grace, for devices that are one release behind.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from urllib.parse import quote

from otarium.domain.delegating import resolve
from otarium.domain.errors import NotFound, PackageNotFound
from otarium.domain.names import PackageId, Sha256
from otarium.domain.packages import Content, Package, TargetFormat
from otarium.domain.roles import Dialect
from otarium.domain.sources import Source
from otarium.services.ports import Catalog, Clock, Transaction

_Choose = Callable[[Sequence[Package], Sha256 | None], Package | None]


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
            return _content_of(package, None)
        return deleted.content if deleted and deleted.deleted_at >= self._grace_start() else None

    def by_hash(self, sha256: Sha256) -> Content | None:
        """Only what is, or was until just now, a package of ours: bytes alone authorise nothing."""
        with self._catalog.read() as tx:
            return tx.packages.with_hash(sha256, self._grace_start())

    def external(self, dialect: Dialect, meant: Iterable[tuple[str, Sha256 | None]]) -> Content | None:
        """A package of another source, by the ids that a client may mean, the likeliest first, with the hash
        that it named. Always asked last: no publisher can put a name or a hash before ours."""
        now = self._clock.now()
        with self._catalog.read() as tx:
            sources = tx.sources.every()

            def choose(offered: Sequence[Package], sha256: Sha256 | None) -> Package | None:
                return resolve(offered, sources, dialect, now, sha256)

            found = (_find(tx, choose, PackageId.lookup(name), sha256) for name, sha256 in meant)
            package = next(filter(None, found), None)
        if package is None:
            return None
        return _content_of(package, next((one for one in sources if one.name == package.source), None))

    def _grace_start(self) -> int:
        return self._clock.now() - self._grace


def _find(tx: Transaction, choose: _Choose, package_id: PackageId, sha256: Sha256 | None) -> Package | None:
    """What has the id and the hash; else the hash; else the id."""
    offered = tx.packages.with_id(package_id)
    if sha256 is not None:
        package = choose(offered, sha256) or choose(tx.packages.external_with_hash(sha256), sha256)
        if package is not None:
            return package
    return choose(offered, None)


def _content_of(package: Package, source: Source | None) -> Content:
    """The bytes of another publisher stay where its list, or its bundle, says that they are."""
    if source is None:
        return replace(package.content, location=package.uri if package.content.location else None)
    place = package.uri
    if place is None and source.fetching.targets_uri is not None:
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
