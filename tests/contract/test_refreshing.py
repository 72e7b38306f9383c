"""Refreshing while this side fails: what cannot be written down is not fetched again and again."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builders import NOW
from otarium.domain.access import DEFAULT_SCOPES, Actor
from otarium.domain.errors import Unavailable
from otarium.services.ports_sources import Fetched, FetchRequest
from otarium.services.refreshing import Refreshing
from otarium.services.source_documents import new_source
from otarium.services.sources import Sources
from publisher import Publisher, target
from repository import Repository

OPERATOR = Actor("operator", DEFAULT_SCOPES)
TDX = Publisher("tdx", now=lambda: NOW)
BUNDLE = TDX.bundle("https://example.com/tdx.json")


class Fetcher:
    """Answers the same list each time."""

    def __init__(self) -> None:
        self.asked = 0

    def fetch(self, request: FetchRequest) -> Fetched:
        self.asked += 1
        return Fetched(TDX.uptane(target("tdx/os-1"), 1))


class Feed:
    """A source that is due, in a repository of one worker."""

    def __init__(self, repository: Repository, bundle: dict[str, object]) -> None:
        self.repository, self.fetcher = repository, Fetcher()
        opened, (self.publisher, _) = repository.opened, repository.worker()
        sources: Sources
        refreshing: Refreshing
        sources, refreshing = opened.sources(self.publisher)
        refreshing._lists._fetcher = self.fetcher
        self.name = sources.add(OPERATOR, new_source(bundle)).result(10).name
        self.sources, self.refreshing = sources, refreshing

    def tick(self, seconds: int) -> int:
        """How often the publisher was asked by all ticks of the schedule, five seconds apart."""
        before = self.fetcher.asked
        for _ in range(seconds // 5):
            self.repository.clock.time += 5
            self.refreshing.refresh_due()
            self.wait()
        return self.fetcher.asked - before

    def wait(self) -> None:
        for run in list(self.refreshing._running.values()):
            run.answer.exception(10)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    made = Repository(tmp_path)
    yield made
    made.close()


def away(*_: object) -> None:
    raise Unavailable("this side is away")


def fail_signing(feed: Feed, patched: pytest.MonkeyPatch) -> None:
    patched.setattr(feed.publisher._signer, "sign", away)


def fail_writing(feed: Feed, patched: pytest.MonkeyPatch) -> None:
    """Also the reason of a refusal cannot be kept."""
    patched.setattr(feed.repository.opened.catalog, "write", away)
    patched.setattr(feed.fetcher, "fetch", lambda request: counted(feed.fetcher))


def counted(fetcher: Fetcher) -> Fetched:
    fetcher.asked += 1
    return Fetched(b"no list")


def fail_oddly(feed: Feed, patched: pytest.MonkeyPatch) -> None:
    patched.setattr(feed.repository.opened.catalog, "write", away)
    patched.setattr(feed.refreshing._lists, "_judged", lambda *_: 1 / 0)


@pytest.mark.parametrize("fail", [fail_signing, fail_writing, fail_oddly])
def test_a_failure_of_this_side_is_followed_by_growing_pauses(
    repository: Repository, fail: Callable[[Feed, pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed(repository, BUNDLE)
    with monkeypatch.context() as patched:
        fail(feed, patched)
        assert [feed.tick(seconds) for seconds in (5, 55, 60, 120)] == [1, 0, 1, 1]
        assert 3 <= feed.tick(6 * 3600) <= 10
        assert feed.tick(6 * 3600) == 6
    assert feed.tick(3600) == 1
    assert feed.sources.show(OPERATOR, feed.name).source.last_fetched is not None
    assert 0 < feed.tick(2 * 3600) <= 3


def test_whoever_asks_for_a_refresh_meets_no_pause(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed(repository, BUNDLE)
    with monkeypatch.context() as patched:
        fail_signing(feed, patched)
        assert feed.tick(5) == 1
        for _ in range(2):
            assert isinstance(feed.refreshing.refresh(OPERATOR, feed.name).exception(10), Unavailable)
    assert feed.refreshing.refresh(OPERATOR, feed.name).result(10).problem is None
    assert feed.fetcher.asked == 4
