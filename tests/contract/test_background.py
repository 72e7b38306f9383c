"""Background work: what takes long keeps nobody from what may not be late."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import PATIENCE
from otarium import background
from otarium.adapters import tracing
from otarium.services.watching import Watching
from otarium.web.meters import WorkerMeters
from repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    made = Repository(tmp_path)
    yield made
    made.close()


def test_metadata_is_signed_again_while_a_sweep_waits_for_its_store(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "RENEWAL_INTERVAL", 0.1)
    opened, meters, traces = repository.opened, WorkerMeters(), tracing.make()
    asked, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        asked.set()
        assert go_on.wait(PATIENCE)

    monkeypatch.setattr(opened.blobs, "clear_abandoned", slow)
    publisher, metadata = repository.worker()
    _, refreshing = opened.sources(publisher, traces)
    watching = Watching(meters, traces, repository.clock)
    schedules = list(background.schedules(opened, publisher, metadata, refreshing, watching, meters, None))
    for schedule in schedules:
        schedule.start()
    try:
        assert asked.wait(PATIENCE)
        before, deadline = metadata.number, time.monotonic() + PATIENCE
        repository.clock.time += opened.settings.metadata.timestamp_lifetime
        while metadata.number == before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert metadata.number > before
    finally:
        go_on.set()
        for schedule in schedules:
            schedule.stop()
