"""All packages in one file, for repositories that carry them: what it is, and how it follows the packages."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import package
from otarium.domain import feed as rules
from otarium.domain.delegation import SourceFile, accept
from otarium.domain.errors import Conflict, Unavailable
from otarium.domain.feed import FEED, delegates
from otarium.domain.names import PackageId, SourceName
from otarium.domain.roles import Dialect, RoleFile
from otarium.domain.shelves import ShelfLimits
from otarium.domain.sources import parse_delegation
from otarium.services import renewal
from otarium.services.feed import Feed, follow
from otarium.services.metadata import Metadata
from otarium.services.ports import Transaction
from otarium.services.publishing import Change, Outcome, Publisher
from otarium.services.shelving import Shelving
from otarium.services.source_documents import own_bundle
from repository import Repository

SHELVING = Shelving(ShelfLimits(first=2, page=2))
NAME = SourceName("upstream")


def adding(name: str) -> Change[None]:
    def change(tx: Transaction, now: int) -> Outcome[None]:
        one = package(name, created_at=now, updated_at=now, revision=tx.packages.next_revision())
        one = replace(one, content=replace(one.content, location="https://x.example/"))
        role, signs = SHELVING.put(tx, one.name, one.id, one.entry())
        tx.packages.add(one, role, one.entry())
        return Outcome(None, signs)

    return change


def removing(name: str) -> Change[None]:
    def change(tx: Transaction, now: int) -> Outcome[None]:
        one = tx.packages.get(PackageId(f"{name}-1"))
        assert one is not None
        signs = SHELVING.take(tx, one.name, one.id, one.entry())
        tx.packages.remove(one, tx.packages.next_revision(), now)
        return Outcome(None, signs)

    return change


class Upstream:
    """A repository, one of its workers, and what another repository last accepted from it."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.publisher, self.metadata = repository.worker()
        self.feed = Feed(repository.opened.catalog, self.metadata)
        self.last: dict[Dialect, SourceFile] = {}

    def put(self, *names: str) -> None:
        for name in names:
            self.publisher.submit(adding(name)).result(10)

    def remove(self, name: str) -> None:
        self.publisher.submit(removing(name)).result(10)

    def follow(self, worker: tuple[Publisher, Metadata] | None = None) -> bool:
        publisher, metadata = worker or (self.publisher, self.metadata)
        return follow(self.repository.opened.catalog, metadata, publisher, self.repository.clock)

    def bundle(self) -> dict[str, Any]:
        return own_bundle(self.metadata, self.feed, "https://b.example", NAME, ())

    def fetched(self) -> set[str]:
        """What another repository takes over, in both dialects."""
        bundle, now = self.bundle(), self.repository.clock.now()
        delegation = parse_delegation(bundle["keys"], bundle["delegationMetadata"])
        self.metadata.refresh()
        file, packages = self.feed.file(), []
        for dialect in Dialect:
            accepted = accept(file.in_dialect(dialect).raw, delegation, self.last, now, now)
            self.last[dialect] = accepted.file
            packages.append({str(one.id) for one in accepted.packages})
        assert packages[0] == packages[1]
        return packages[0]


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Upstream]:
    repository = Repository(tmp_path)
    yield Upstream(repository)
    repository.close()


def stored(upstream: Upstream) -> list[tuple[int, RoleFile | None]]:
    with upstream.repository.opened.catalog.read() as tx:
        return [(version, file) for role, version, file in tx.roles.records() if role == FEED]


def test_targets_json_is_the_feed_while_it_delegates_to_nothing(upstream: Upstream) -> None:
    upstream.put("a", "b")
    assert upstream.feed.file() == upstream.metadata.current.targets
    assert upstream.fetched() == {"a-1", "b-1"}
    assert not upstream.follow()
    assert stored(upstream) == []


def test_the_release_that_begins_to_delegate_brings_the_feed_with_it(upstream: Upstream) -> None:
    upstream.put("a", "b")
    before = upstream.bundle(), upstream.fetched(), upstream.feed.file().version
    upstream.put("c")
    assert delegates(upstream.metadata.current.targets)
    assert upstream.fetched() == {"a-1", "b-1", "c-1"}
    assert upstream.feed.file().version > before[2]
    assert upstream.bundle() == before[0]


def test_the_feed_follows_what_is_published_without_a_release_for_devices(upstream: Upstream) -> None:
    upstream.put("a", "b", "c")
    upstream.fetched()
    upstream.put("d")
    upstream.remove("a")
    release = upstream.metadata.current
    assert upstream.fetched() == {"a-1", "b-1", "c-1"}
    assert upstream.follow()
    assert upstream.fetched() == {"b-1", "c-1", "d-1"}
    assert upstream.metadata.current.number == release.number
    assert upstream.metadata.current.snapshot == release.snapshot
    assert FEED not in json.loads(release.snapshot.tuf.raw)["signed"]["meta"]


def test_one_worker_signs_the_feed_and_only_when_something_changed(upstream: Upstream) -> None:
    upstream.put("a", "b", "c", "d")
    other = upstream.repository.worker()
    assert [upstream.follow(), upstream.follow(other), upstream.follow()] == [True, False, False]


def test_the_bytes_of_older_feeds_go_at_once(upstream: Upstream) -> None:
    upstream.put("a", "b", "c")
    for name in ("d", "e", "f"):
        upstream.put(name)
        upstream.follow()
    files = [file for _, file in stored(upstream)]
    assert len(files) == 4
    assert [file is None for file in files] == [True, True, True, False]


def test_a_feed_of_the_next_change_waits_the_longer_the_larger_it_is(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "_PACKAGES_A_SECOND", 1)
    upstream.put("a", "b", "c")
    upstream.put("d")
    assert not upstream.follow()
    upstream.repository.clock.time += 3
    assert not upstream.follow()
    upstream.repository.clock.time += 1
    assert upstream.follow()


@pytest.mark.parametrize(("limit", "most"), [("FEED_PACKAGES", 3), ("FEED_BYTES", 1000)])
def test_a_repository_too_large_for_a_source_says_so_and_comes_back(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    upstream.put("a", "b", "c")
    assert upstream.fetched() == {"a-1", "b-1", "c-1"}
    monkeypatch.setattr(rules, limit, most)
    upstream.put("d")
    for refusing in (upstream.bundle, upstream.feed.file):
        with pytest.raises(Conflict, match="otarium source publish --from-repository"):
            refusing()
    assert not upstream.follow()
    upstream.remove("a")
    assert upstream.follow()
    assert upstream.fetched() == {"b-1", "c-1", "d-1"}


def test_a_repository_that_was_too_large_all_along_has_a_feed_in_a_moment(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "FEED_PACKAGES", 1)
    upstream.put("a", "b", "c")
    monkeypatch.undo()
    with pytest.raises(Unavailable, match="being made"):
        upstream.feed.file()
    assert upstream.follow()
    assert upstream.fetched() == {"a-1", "b-1", "c-1"}


def test_the_feed_never_expires_over_a_year(upstream: Upstream) -> None:
    upstream.put("a", "b", "c")
    catalog, clock = upstream.repository.opened.catalog, upstream.repository.clock
    for _ in range(53):
        clock.time += 7 * 86_400
        while renewal.renew(catalog, upstream.metadata, upstream.publisher, clock):
            continue
        upstream.follow()
        assert upstream.fetched() == {"a-1", "b-1", "c-1"}
        assert upstream.feed.file().expires > clock.time + 40 * 86_400


def test_verify_reads_the_feed(upstream: Upstream) -> None:
    upstream.put("a", "b", "c")
    verification = upstream.repository.opened.verification(lambda _: None)
    assert verification.run().broken == []
    rewrite(upstream, "expires", "Expires")
    broken = upstream.repository.opened.verification(lambda _: None).run().broken
    assert any(one.startswith("I4 /repo") and FEED in one for one in broken), broken
    rewrite(upstream, "Expires", "expires")


def rewrite(upstream: Upstream, old: str, new: str) -> None:
    text = f"replace(CAST(uptane AS TEXT), '\"{old}\":', '\"{new}\":')"
    with upstream.repository.opened.catalog.write() as tx:
        connection = tx._connection  # type: ignore[attr-defined]
        connection.exec_driver_sql(
            f"UPDATE role_files SET uptane = CAST({text} AS BLOB) WHERE role = '{FEED}'"
        )
