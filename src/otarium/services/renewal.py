"""Background work: signing again before anything expires, and sweeping what nobody refers to.

Every worker may run it: whether something is due is decided inside the writer's transaction, so the
second to come finds nothing to do.
"""

import logging
import threading
import time
from collections.abc import Callable

from otarium.domain import release as releases
from otarium.domain.errors import Refusal
from otarium.domain.names import Sha256
from otarium.services.metadata import Metadata, load_release
from otarium.services.ports import Catalog, Clock, Transaction
from otarium.services.ports_blobs import BlobStore
from otarium.services.publishing import Outcome, Publisher

log = logging.getLogger(__name__)

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
    """Removes blobs that no package refers to and no upload holds, and expired access tokens."""

    def __init__(self, catalog: Catalog, blobs: BlobStore, clock: Clock, grace: int) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._clock = clock
        self._grace = grace

    def __call__(self) -> int:
        """How many blobs were removed. Bytes and row of a blob go together, under the writer's lock: another
        worker's sweep, or an upload of the same bytes, comes before or after, never in between."""
        now = self._clock.now()
        with self._catalog.write() as tx:
            dying = tx.blobs.mark_dying(now, self._grace)
            tx.credentials.drop_expired(now - 86_400)
        return sum(map(self._remove, dying))

    def _remove(self, sha256: Sha256) -> bool:
        with self._catalog.write(durable=False) as tx:
            if not tx.blobs.is_dying(sha256):
                return False
            self._blobs.delete(sha256)
            tx.blobs.drop(sha256)
            return True

    def orphans(self) -> int:
        """Remove bytes without a row, left by a power cut. An upload makes its row, under the writer's
        lock, before its bytes get their name: so whoever holds the lock and finds no row may delete."""
        started = time.time()
        with self._catalog.read() as tx:
            known = frozenset(row.sha256 for row in tx.blobs.every())
        removed = 0
        for sha256 in self._blobs.orphans(known, started):
            with self._catalog.write(durable=False) as tx:
                if not tx.blobs.is_known(sha256):
                    self._blobs.delete(sha256)
                    removed += 1
        return removed


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
