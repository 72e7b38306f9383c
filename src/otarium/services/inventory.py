"""What a repository holds and how it fares, in numbers: for metrics and for `otarium status`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from otarium.domain.sources import Source
from otarium.services.ports import Catalog, Clock
from otarium.services.ports_blobs import UNLIMITED, BlobStore

_MANY = 10_000


@dataclass(frozen=True, slots=True)
class Contents:
    """Counted over whole tables: a tenth of a second for a million packages."""

    packages: Mapping[str, int]
    """By source; own ones under "targets"."""
    blobs: int
    blob_bytes: int
    shelves: int
    """Delegated pages with packages on them."""
    shelves_due: int
    """Those among them that wait to be signed again."""


class Inventory:
    def __init__(self, catalog: Catalog, blobs: BlobStore, clock: Clock) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._clock = clock

    def contents(self) -> Contents:
        """Raises Unavailable when the catalog cannot be read, as all here do."""
        with self._catalog.read() as tx:
            due = tx.shelves.due(self._clock.now(), _MANY)
            full = sum(page.targets > 0 for page in tx.shelves.delegated())
            return Contents(tx.packages.numbers(), *tx.blobs.numbers(), full, len(due))

    def sources(self) -> Sequence[Source]:
        """In the operator's order, disabled ones too."""
        with self._catalog.read() as tx:
            return [source for source in tx.sources.every() if source.removed_at is None]

    def last_backup(self) -> int | None:
        """Of those that `otarium backup` made."""
        with self._catalog.read() as tx:
            return tx.journal.last("backup")

    def free_bytes(self) -> int | None:
        """None where nobody can tell, as of an object store."""
        free = self._blobs.free_bytes()
        return None if free == UNLIMITED else free
