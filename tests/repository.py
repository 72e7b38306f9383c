"""A repository in this process: adapters and services without a server."""

from pathlib import Path

from builders import NOW
from otarium import bootstrap
from otarium.services.metadata import Metadata
from otarium.services.ports_watch import Watch
from otarium.services.publishing import Publisher
from otarium.settings import Settings, StorageSettings


class FakeClock:
    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> int:
        return self.time


class Repository:
    """One repository and as many publishers over it as there would be worker processes."""

    def __init__(self, data_dir: Path) -> None:
        self.clock = FakeClock()
        settings = Settings(storage=StorageSettings(data_dir=data_dir))
        self.opened = bootstrap.prepare(settings, self.clock)
        self._started: list[Publisher] = []

    def worker(self, watch: Watch | None = None) -> tuple[Publisher, Metadata]:
        publisher, metadata = self.opened.publisher(watch)
        metadata.refresh()
        publisher.start()
        self._started.append(publisher)
        return publisher, metadata

    def close(self) -> None:
        for publisher in self._started:
            publisher.stop()
        assert self.opened.verification(lambda _: None).run().broken == []
        self.opened.catalog.close()
