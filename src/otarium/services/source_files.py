"""The files of external package sources, as devices fetch them: verbatim, and as a snapshot lists them."""

from functools import lru_cache

from otarium.domain.names import SourceName
from otarium.domain.roles import Dialect, RoleFile, listed_versions
from otarium.services.metadata import Metadata
from otarium.services.ports import Catalog
from otarium.services.ports_sources import StoredFile

_KEPT_FILES = 8


class SourceFiles:
    """Methods block; call them from a worker thread."""

    def __init__(self, catalog: Catalog, metadata: Metadata) -> None:
        self._catalog = catalog
        self._metadata = metadata
        # A version never changes its bytes, so what was read once stays true.
        self._read = lru_cache(_KEPT_FILES)(self._stored)

    def plain(self, name: SourceName, dialect: Dialect, number: int | None) -> StoredFile | None:
        """The version that release `number` lists (the newest where it is None, or not kept any more)."""
        snapshot = self._metadata.plain("snapshot", number)
        version = _listed(snapshot, dialect).get(name) if snapshot else None
        return None if version is None else self.versioned(name, dialect, version)

    def versioned(self, name: SourceName, dialect: Dialect, version: int) -> StoredFile | None:
        try:
            return self._read(name, dialect, version)
        except KeyError:
            return None

    def _stored(self, name: SourceName, dialect: Dialect, version: int) -> StoredFile:
        with self._catalog.read() as tx:
            file = tx.sources.file(name, dialect, version)
        if file is None:
            raise KeyError(name)
        return file


@lru_cache(8)
def _listed(snapshot: RoleFile, dialect: Dialect) -> dict[str, int]:
    return listed_versions(snapshot, dialect)
