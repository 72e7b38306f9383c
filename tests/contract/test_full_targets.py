"""targets.json that is about to be too long for devices: what makes it so is refused, and nothing else is."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from builders import package
from contract.test_publisher import hold
from otarium.domain.errors import TooLarge
from otarium.domain.packages import Package
from otarium.domain.shelves import ROLE_BYTES, TOP_BYTES, ShelfLimits, size_of
from otarium.services import renewal
from otarium.services.metadata import Metadata
from otarium.services.ports import Transaction
from otarium.services.publishing import Change, Outcome, Publisher
from otarium.services.shelving import Shelving
from otarium.services.status import look
from repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    made = Repository(tmp_path)
    yield made
    made.close()


def limited(repository: Repository, limits: ShelfLimits) -> tuple[Publisher, Metadata]:
    publisher, metadata = repository.worker()
    publisher._shelving = Shelving(limits)
    return publisher, metadata


def adding(limits: ShelfLimits, *packages: Package) -> Change[None]:
    """Packages whose bytes live elsewhere, as one change."""

    def change(tx: Transaction, now: int) -> Outcome[None]:
        signs = frozenset[str]()
        for one in packages:
            content = replace(one.content, location="https://x.example/")
            made = replace(one, content=content, created_at=now, updated_at=now)
            role, touched = Shelving(limits).put(tx, made.name, made.id, made.entry())
            tx.packages.add(made, role, made.entry())
            signs |= touched
        return Outcome(None, signs)

    return change


def test_a_name_too_many_for_targets_json_is_refused_and_the_rest_of_its_batch_is_published(
    repository: Repository,
) -> None:
    limits = ShelfLimits(first=1, delegating=4000)
    publisher, metadata = limited(repository, limits)
    publisher.submit(adding(limits, package("a", "1"), package("b", "1"))).result(10)
    long = package("n" * 3500, "1")
    with hold(publisher):
        futures = [
            publisher.submit(adding(limits, one))
            for one in (package("a", "2"), long, package("c", "1"), package("b", "2"))
        ]
    refused = [future.exception(10) for future in futures]
    assert [type(one) for one in refused] == [type(None), TooLarge, type(None), type(None)]
    assert "4000" in str(refused[1]) and "names that are there" in str(refused[1])
    names = [role["name"] for role in _delegated(metadata)]
    assert sorted(names) == ["p-0001", "p-0002", "p-0003"]
    assert metadata.current.targets.length <= 4000


def test_what_is_too_long_already_is_signed_again_and_may_become_shorter(repository: Repository) -> None:
    limits = ShelfLimits(first=1)
    publisher, metadata = limited(repository, limits)
    publisher.submit(adding(limits, *(package(name, "1") for name in "abc"))).result(10)
    publisher._shelving = Shelving(replace(limits, delegating=metadata.current.targets.length - 1))
    before = metadata.current.targets.version
    repository.clock.time += 50 * 86_400
    for _ in range(2):
        assert renewal.renew(repository.opened.catalog, metadata, publisher, repository.clock)
        repository.clock.time += 50 * 86_400
    assert metadata.current.targets.version > before
    publisher.submit(adding(limits, package("a", "2"))).result(10)
    assert isinstance(publisher.submit(adding(limits, package("d", "1"))).exception(10), TooLarge)


def test_a_flat_targets_json_is_judged_with_all_that_is_signed_in_it(repository: Repository) -> None:
    limits = ShelfLimits(flat=True)
    publisher, metadata = limited(repository, limits)
    some = [package("a", str(number), meta={"note": "x" * 16_000}) for number in range(100, 400)]
    publisher.submit(adding(limits, *some)).result(30)
    left = ROLE_BYTES - sum(size_of(one.entry()) for one in some)
    last = package("z", "1", meta={"note": ""})
    last = package("z", "1", meta={"note": "x" * (left - 200 - size_of(last.entry()))})
    with pytest.raises(TooLarge, match="OTARIUM_LAYOUT=shelves"):
        publisher.submit(adding(limits, last)).result(30)
    assert metadata.current.targets.length < ROLE_BYTES


def _delegated(metadata: Metadata) -> list[dict[str, object]]:
    signed = json.loads(metadata.current.targets.tuf.raw)["signed"]
    return signed["delegations"]["roles"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("flat", [False, True])
def test_an_operator_is_told_at_three_quarters_what_makes_room_in_this_layout(
    repository: Repository, flat: bool, caplog: pytest.LogCaptureFixture
) -> None:
    limits = ShelfLimits(first=1, flat=flat)
    assert limits.top_bytes == (ROLE_BYTES if flat else TOP_BYTES)
    publisher, metadata = limited(repository, limits)

    def problems(warned_from: int) -> list[tuple[str, str]]:
        small = replace(limits, delegating=warned_from * 4 // 3)
        found = look(repository.opened.inventory(), metadata, repository.clock.now(), 0, small, None)
        return [(one.problem, one.advice) for one in found.findings]

    if flat:
        some = [package("a", str(number), meta={"note": "x" * 16_000}) for number in range(100, 335)]
        publisher.submit(adding(limits, *some)).result(30)
    else:
        publisher.submit(adding(limits, package("a", "1"), package("b", "1"))).result(10)
    size = metadata.current.targets.length
    [(problem, advice)] = problems(size)
    assert str(size) in problem
    assert ("OTARIUM_LAYOUT=shelves" in advice) == flat
    assert ("names that are there" in advice) != flat
    assert ("targets.json has" in caplog.text) == flat
    if not flat:
        assert problems(size + 10) == []
