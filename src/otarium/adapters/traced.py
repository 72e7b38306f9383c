"""The outside as traces see it: catalog, blobs and fetcher, each with a span around what takes long.

Reads for devices have no span around them, so they make none here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from otarium.domain.names import Sha256
from otarium.services.ports import Catalog, Transaction
from otarium.services.ports_blobs import BlobStore, OpenBlob, StagedBlob
from otarium.services.ports_sources import Fetched, FetchRequest, SourceFetcher
from otarium.services.ports_watch import Traces


class KeptCatalog(Catalog, Protocol):
    def close(self) -> None: ...
    def checkpoint(self) -> None: ...


class KeptBlobs(BlobStore, Protocol):
    def prepare(self) -> None: ...
    def clear_abandoned(self) -> None: ...


class TracedCatalog:
    def __init__(self, catalog: KeptCatalog, traces: Traces, system: str) -> None:
        self._catalog = catalog
        self._traces = traces
        self._system = system
        self.close = catalog.close
        self.checkpoint = catalog.checkpoint

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        with self._traces.part("transaction read", db__system__name=self._system), self._catalog.read() as tx:
            yield tx

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Transaction]:
        with (
            self._traces.part("transaction write", db__system__name=self._system),
            self._catalog.write(durable=durable) as tx,
        ):
            yield tx


class TracedBlobs:
    def __init__(self, blobs: KeptBlobs, traces: Traces) -> None:
        self._blobs = blobs
        self._traces = traces
        self.exists = blobs.exists
        self.link_to = blobs.link_to
        self.delete = blobs.delete
        self.free_bytes = blobs.free_bytes
        self.orphans = blobs.orphans
        self.prepare = blobs.prepare
        self.clear_abandoned = blobs.clear_abandoned

    def stage(self) -> StagedBlob:
        return _TracedStage(self._blobs.stage(), self._traces)

    def open(self, sha256: Sha256) -> OpenBlob | None:
        with self._traces.part("blob open"):
            return self._blobs.open(sha256)


class _TracedStage:
    def __init__(self, staged: StagedBlob, traces: Traces) -> None:
        self._staged = staged
        self._traces = traces
        self.write = staged.write
        self.cancel = staged.cancel

    @property
    def sha256(self) -> Sha256 | None:
        return self._staged.sha256

    def finish(self) -> tuple[Sha256, int]:
        with self._traces.part("blob finish") as span:
            sha256, length = self._staged.finish()
            span.note(otarium__blob__bytes=length)
            return sha256, length

    def commit(self) -> None:
        with self._traces.part("blob commit"):
            self._staged.commit()


class TracedFetcher:
    def __init__(self, fetcher: SourceFetcher, traces: Traces) -> None:
        self._fetcher = fetcher
        self._traces = traces

    def fetch(self, request: FetchRequest) -> Fetched | None:
        """URLs may hold tokens, so none is told."""
        with self._traces.root("source fetch") as span:
            fetched = self._fetcher.fetch(request)
            span.note(otarium__fetch__bytes=len(fetched.raw) if fetched else 0)
            return fetched
