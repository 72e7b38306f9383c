"""What balancers are told: whether devices may be sent here, and whether everybody may."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from otarium.services.health import Health, Readiness
from repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    made = Repository(tmp_path)
    yield made
    made.opened.catalog.close()


class Untouchable:
    """A catalog, or a store, that answers nobody any more."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} was asked for")


def for_devices(repository: Repository, leaving: bool = False) -> Readiness:
    _, metadata = repository.opened.publisher()
    metadata.refresh()
    nowhere = Untouchable()
    health = Health(nowhere, nowhere, metadata, repository.clock, lambda: leaving)  # type: ignore[arg-type]
    return health.for_devices()


def test_devices_may_come_whatever_became_of_the_catalog(repository: Repository) -> None:
    told = for_devices(repository)
    assert told.release > 0 and told.expires and told.problems == ()


def test_devices_may_not_come_to_who_leaves_or_has_only_expired_metadata(repository: Repository) -> None:
    (leaves,) = for_devices(repository, leaving=True).problems
    assert "stop" in leaves
    repository.clock.time += 2 * 86_400
    (expired,) = for_devices(repository).problems
    assert "expired" in expired
