"""Background work: signing again before anything expires, and sweeping what nobody refers to.

Every worker may run it: whether something is due is decided inside the writer's transaction, so the
second to come finds nothing to do.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from otarium.domain import release as releases
from otarium.domain.errors import Refusal
from otarium.domain.names import Sha256
from otarium.services.metadata import Metadata, load_release
from otarium.services.ports import Catalog, Clock, Transaction
from otarium.services.ports_blobs import BlobStore, Locks
from otarium.services.publishing import Outcome, Publisher

log = logging.getLogger(__name__)

MOST_FAILURES = 10
"""Of one sweep: where a store is away, each takes as long as the store is waited for."""
SHELVES_AT_ONCE = 32
"""Delegated shelves in one release of renewal: uploads are not to wait for a thousand signatures."""


def renew(catalog: Catalog, metadata: Metadata, publisher: Publisher, clock: Clock) -> bool:
    """Sign again what is due; whether something was. Raises Refusal when it could not be published."""
    metadata.refresh()

    def due(tx: Transaction, now: int) -> frozenset[str]:
        release = load_release(tx, metadata.current)
        top_level = releases.due(release, now) if release else frozenset[str]()
        return top_level.union(tx.shelves.due(now, SHELVES_AT_ONCE))

    def change(tx: Transaction, now: int) -> Outcome[bool]:
        signs = due(tx, now)
        return Outcome(bool(signs), signs)

    with catalog.read() as tx:
        if not due(tx, clock.now()):
            return False
    return publisher.submit(change).result()


class Sweep:
    """Removes blobs that no package refers to, and expired access tokens.

    Nobody else deletes bytes, and one process at a time does: so a blob that is dying stays so until its
    bytes are gone, an upload of the same bytes is refused until then, and no transaction waits for a store.
    """

    def __init__(self, catalog: Catalog, blobs: BlobStore, clock: Clock, grace: int, locks: Locks) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._clock = clock
        self._grace = grace
        self._locks = locks

    def __call__(self) -> int:
        """How many blobs were removed; none while another process is at it. What could not be removed stays
        dying, for the next time, and is no reason to leave the others. Raises what removing the first of
        them failed with."""
        removed, failures = 0, list[Refusal | OSError]()
        with self._locks.tried("sweep") as ours:
            for sha256 in self._dying() if ours else ():
                try:
                    removed += self._remove(sha256)
                except (Refusal, OSError) as failure:
                    failures.append(failure)
                    if len(failures) == MOST_FAILURES:
                        break
        if failures:
            raise failures[0]
        return removed

    def _dying(self) -> Sequence[Sha256]:
        now = self._clock.now()
        with self._catalog.write() as tx:
            dying = tx.blobs.mark_dying(now, self._grace)
            tx.credentials.drop_expired(now - 86_400)
        return dying

    def _remove(self, sha256: Sha256) -> bool:
        with self._catalog.read() as tx:
            if not tx.blobs.is_dying(sha256):  # the lock was lost with the database, and another swept on
                return False
        self._blobs.delete(sha256)
        with self._catalog.write(durable=False) as tx:
            tx.blobs.drop(sha256)
        return True

    def discard(self, sha256: Sha256) -> None:
        """Remove bytes that were refused, unless a package has the same; where a sweep is just going on the
        next one does it."""
        with self._locks.tried("sweep") as ours:
            if self._adopt(sha256, 0, dying=ours) and ours:
                self._remove(sha256)

    def orphans(self) -> int:
        """Give bytes without a row, as a power cut leaves them, one that nothing refers to: they go when the
        grace is over, unless an upload that is just arriving refers to them."""
        started, now = time.time(), self._clock.now()
        with self._catalog.read() as tx:
            known = frozenset(row.sha256 for row in tx.blobs.every())
        return sum(self._adopt(sha256, now) for sha256 in self._blobs.orphans(known, started))

    def _adopt(self, sha256: Sha256, released_at: int, *, dying: bool = False) -> bool:
        """Make a row for bytes that are there and have none."""
        blob = self._blobs.open(sha256)
        if blob is None:
            return False
        with blob, self._catalog.write(durable=False) as tx:
            return tx.blobs.adopt(sha256, blob.length, released_at, dying)


class Schedule:
    """Runs jobs in a thread, each at its own interval in seconds, until stopped."""

    def __init__(self, jobs: list[tuple[float, Callable[[], object]]], patience: float | None = None) -> None:
        """`patience`: how long a stop waits for the job that is just running; None for its end."""
        self._jobs = jobs
        self._patience = patience
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(self._patience)

    def _run(self) -> None:
        due = [0.0] * len(self._jobs)
        while True:
            now = time.monotonic()
            for index, (interval, job) in enumerate(self._jobs):
                if now >= due[index]:
                    due[index] = now + interval
                    self._run_job(job)
            if self._stopping.wait(min(max(0.05, when - time.monotonic()) for when in due)):
                return

    def _run_job(self, job: Callable[[], object]) -> None:
        try:
            job()
        except Refusal as refusal:
            log.warning("background work will be tried again: %s", refusal)
        except Exception:
            log.exception("background work failed; it will be tried again")
