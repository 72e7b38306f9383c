"""The copy for devices is one whole release at any moment, wherever the process that makes it dies."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from builders import package
from otarium.adapters.offload_files import FileOffload
from otarium.domain.access import Actor, Scope
from otarium.domain.errors import Conflict
from otarium.domain.names import HardwareId, PackageName, PackageVersion, Sha256
from otarium.domain.offloaded import TIMESTAMP, packages_of
from otarium.services.offload import Offload
from otarium.services.packages import Limits, Packages
from otarium.services.ports_blobs import OpenBlob
from otarium.services.source_files import SourceFiles
from otarium.services.uploads import Upload as Announced
from otarium.services.uploads import Uploads
from repository import Repository


class Died(Exception):
    pass


class Dying:
    """A target whose process dies at its `left`th change, before or after it took place."""

    swaps = True

    def __init__(self, target: FileOffload, left: int, *, after: bool) -> None:
        self._target = target
        self._left = left
        self._after = after

    def _change(self, change: Callable[[], None]) -> None:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Died
        change()
        if self._left == 0:
            raise Died

    def held(self) -> AbstractContextManager[None]:
        return self._target.held()

    def read(self, name: str) -> bytes | None:
        return self._target.read(name)

    def put(self, name: str, raw: bytes, version: int) -> None:
        self._change(lambda: self._target.put(name, raw, version))

    def put_blob(self, names: Sequence[str], sha256: Sha256, blob: OpenBlob) -> None:
        self._change(lambda: self._target.put_blob(names, sha256, blob))

    def switch(self, number: int, plain: Mapping[str, str]) -> None:
        self._change(lambda: self._target.switch(number, plain))

    def names(self) -> Iterator[str]:
        return self._target.names()

    def delete(self, name: str) -> None:
        self._target.delete(name)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    (tmp_path / "data").mkdir()
    made = Repository(tmp_path / "data")
    yield made
    made.close()


Upload = Callable[[str], None]


@pytest.fixture
def upload(repository: Repository) -> Upload:
    """Publishes a package of this name."""
    publisher, _ = repository.worker()
    opened, actor = repository.opened, Actor("test", frozenset(Scope))
    packages = Packages(opened.catalog, opened.blobs, publisher, opened.shelving(), Limits())
    uploads = Uploads(opened.catalog, opened.blobs, packages, Limits(), opened.sweep())

    def put(name: str) -> None:
        body = f"the bytes of {name}".encode()
        announced = Announced(PackageName(name), PackageVersion("1"), (HardwareId("hw"),), len(body))
        staged = uploads.begin(actor, announced)
        staged.write(body)
        uploads.finish(actor, announced, staged).result(10)

    return put


def offload(repository: Repository, target: object) -> Offload:
    opened = repository.opened
    _, metadata = opened.publisher()
    metadata.refresh()
    files = SourceFiles(opened.catalog, metadata)
    return Offload(target, opened.catalog, metadata, files, opened.blobs, repository.clock, 3600)  # type: ignore[arg-type]


def whole(target: FileOffload) -> set[str]:
    """The packages of a copy in which everything listed is there; of an empty one none."""
    if target.read(TIMESTAMP) is None:
        return set()
    seen: list[set[str]] = []
    for dialect in ("repo", "tuf"):
        plain = dialect == "repo"
        timestamp = json.loads(_read(target, f"{dialect}/timestamp.json"))["signed"]
        snapshot = _listed(target, dialect, "snapshot", timestamp, plain)
        targets = _listed(target, dialect, "targets", json.loads(snapshot)["signed"], plain)
        packages = list(packages_of(targets))
        assert all(one.elsewhere or target.read(f"repo/targets/{one.id}") for one in packages)
        seen.append({one.id for one in packages})
    assert seen[0] == seen[1]
    return seen[0]


def _read(target: FileOffload, name: str) -> bytes:
    raw = target.read(name)
    assert raw is not None, name
    return raw


def _listed(target: FileOffload, dialect: str, role: str, listing: dict, plain: bool) -> bytes:
    version = listing["meta"][f"{role}.json"]["version"]
    raw = _read(target, f"{dialect}/{version}.{role}.json")
    assert len(raw) == listing["meta"][f"{role}.json"]["length"]
    if plain:
        assert _read(target, f"{dialect}/{role}.json") == raw
    return raw


@pytest.mark.parametrize("after", [False, True])
def test_whenever_the_process_dies_the_copy_is_whole_and_the_next_one_goes_on(
    repository: Repository, upload: Upload, tmp_path: Path, after: bool
) -> None:
    target = FileOffload(tmp_path / "copy")
    upload("a")
    offload(repository, target).push()
    assert whole(target) == {"a-1"}
    for at in range(1, 60):
        upload(f"n{at}")
        before = whole(target)
        try:
            offload(repository, Dying(target, at, after=after)).push()
        except Died:
            assert whole(target) in (before, before | {f"n{at}-1"})
            offload(repository, target).push()
            assert whole(target) == before | {f"n{at}-1"}
        else:
            assert at > 5, "a run has at least as many steps as there are files"
            return
    raise AssertionError("a run never ended")


def test_what_the_copy_lost_is_put_again(repository: Repository, upload: Upload, tmp_path: Path) -> None:
    target = FileOffload(tmp_path / "copy")
    copying = offload(repository, target)
    copying.push()
    (tmp_path / "copy/repo/1.root.json").unlink()
    upload("a")
    copying._metadata.refresh()
    copying.push()
    assert whole(target) == {"a-1"} and target.read("repo/1.root.json")


def test_a_copy_that_is_ahead_of_the_catalog_is_left_as_it_is(
    repository: Repository, upload: Upload, tmp_path: Path
) -> None:
    target = FileOffload(tmp_path / "copy")
    behind = offload(repository, target)
    upload("a")
    newest = offload(repository, target)
    assert newest.push() == behind.push(), "an older process does not set it back"
    raw = _read(target, TIMESTAMP).replace(b'"version":', b'"version":9')
    with target.held():
        target.put("tuf/99.timestamp.json", raw, 99)
        target.switch(99, {TIMESTAMP: "tuf/99.timestamp.json"})
    with pytest.raises(Conflict, match="restore the newest copy"):
        offload(repository, target).push()
    assert target.read(TIMESTAMP) == raw


def test_the_place_of_another_repository_is_refused(repository: Repository, tmp_path: Path) -> None:
    target = FileOffload(tmp_path / "copy")
    with target.held():
        target.put("tuf/1.root.json", b"{}", 1)
    with pytest.raises(Conflict, match="another repository"):
        offload(repository, target).push()


def test_what_nothing_lists_any_more_is_swept_after_its_grace(
    repository: Repository, upload: Upload, tmp_path: Path
) -> None:
    target, sweeping = FileOffload(tmp_path / "copy"), None
    upload("a")
    sweeping = offload(repository, target)
    sweeping.push()
    with target.held():
        target.put(f"repo/targets/{package('gone').id}", b"deleted long ago", 1)
    sweeping.sweep()
    sweeping.sweep()
    assert target.read("repo/targets/gone-1") is None
    assert whole(target) == {"a-1"}
