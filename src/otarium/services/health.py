"""Whether this process can do its work."""

from dataclasses import dataclass

from otarium.domain.errors import Broken, Refusal
from otarium.domain.packages import timestamp
from otarium.services.metadata import Metadata
from otarium.services.ports import BlobStore, Catalog, Clock

SPARE_BYTES = 1024 * 1024
RELEASES_OF_SPACE = 2
"""A release is written to the log and then to the database."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """`problems` is empty when the process is ready; `expires` is when the first online role expires."""

    release: int
    expires: str | None
    problems: tuple[str, ...]


class Health:
    def __init__(self, catalog: Catalog, blobs: BlobStore, metadata: Metadata, clock: Clock) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._metadata = metadata
        self._clock = clock

    def ready(self) -> Readiness:
        """Tries a real write, since a catalog that is locked reads well, and looks at the free space."""
        problems = []
        try:
            with self._catalog.write(durable=False) as tx:
                tx.probe()
            self._metadata.refresh()
        except Refusal as refusal:
            problems.append(refusal.message)
        if self._metadata.behind:
            problems.append("The catalog is older than what devices were served; restore the newest copy.")
        try:
            release = self._metadata.current
        except Broken:
            return Readiness(0, None, (*problems, "Nothing has been published yet."))
        expires = min(file.expires for file in release.files())
        written = sum(file.uptane.length + file.tuf.length for file in release.files())
        if self._blobs.free_bytes() < RELEASES_OF_SPACE * written + SPARE_BYTES:
            problems.append("The disk is too full to publish or to renew; free some space.")
        if expires <= self._clock.now():
            problems.append(f"Signed metadata expired at {timestamp(expires)}.")
        return Readiness(release.number, timestamp(expires), tuple(problems))
