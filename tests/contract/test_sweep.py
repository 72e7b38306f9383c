"""Delete, upload of the same bytes and the sweep, in every interleaving: nothing acknowledged is lost."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from otarium.domain.access import Actor, Scope
from otarium.domain.errors import Unavailable
from otarium.domain.names import HardwareId, PackageName, PackageVersion, Sha256
from otarium.domain.packages import Package
from otarium.services.packages import Limits, Packages
from otarium.services.ports_blobs import StagedBlob
from otarium.services.renewal import Sweep
from otarium.services.uploads import Upload, Uploads
from repository import Repository

ACTOR = Actor("test", frozenset(Scope))
BYTES = b"the same bytes"


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    made = Repository(tmp_path)
    yield made
    made.close()


@pytest.fixture
def packages(repository: Repository) -> Packages:
    publisher, _ = repository.worker()
    opened = repository.opened
    return Packages(opened.catalog, opened.blobs, publisher, opened.shelving(), Limits())


@pytest.fixture
def uploads(repository: Repository, packages: Packages) -> Uploads:
    return Uploads(repository.opened.catalog, repository.opened.blobs, packages, Limits())


def announced(name: str) -> Upload:
    hardware_ids = (HardwareId("hw"),)
    return Upload(PackageName(name), PackageVersion("1"), hardware_ids, len(BYTES), None)


def staged(uploads: Uploads, name: str) -> StagedBlob:
    blob = uploads.begin(ACTOR, announced(name))
    blob.write(BYTES)
    return blob


def upload(uploads: Uploads, name: str) -> Package:
    return uploads.finish(ACTOR, announced(name), staged(uploads, name)).result(10)


def sweep(repository: Repository) -> Sweep:
    repository.clock.time += 10
    return Sweep(repository.opened.catalog, repository.opened.blobs, repository.clock, grace=1)


def test_bytes_go_once_no_package_has_them(
    repository: Repository, packages: Packages, uploads: Uploads
) -> None:
    first, second = upload(uploads, "a"), upload(uploads, "b")
    packages.delete(ACTOR, first.id).result(10)
    assert sweep(repository)() == 0
    packages.delete(ACTOR, second.id).result(10)
    assert sweep(repository)() == 1
    assert not repository.opened.blobs.exists(first.content.sha256)
    assert upload(uploads, "c").content.sha256 == first.content.sha256


def test_a_second_workers_sweep_spares_bytes_that_came_back(
    repository: Repository, packages: Packages, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow sweep marked the blob too; the quick one removed it, and an upload brought it back."""
    packages.delete(ACTOR, upload(uploads, "a").id).result(10)
    slow, quick = sweep(repository), sweep(repository)
    marked, go_on = threading.Event(), threading.Event()
    remove = slow._remove

    def wait_then_remove(sha256: Sha256) -> bool:
        marked.set()
        assert go_on.wait(10)
        return remove(sha256)

    monkeypatch.setattr(slow, "_remove", wait_then_remove)
    thread = threading.Thread(target=slow)
    thread.start()
    assert marked.wait(10)
    assert quick() == 1
    package = upload(uploads, "b")
    go_on.set()
    thread.join(10)
    assert repository.opened.blobs.exists(package.content.sha256)


def test_an_upload_whose_bytes_are_swept_before_it_is_listed_is_refused(
    repository: Repository, packages: Packages, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages.delete(ACTOR, upload(uploads, "a").id).result(10)
    blob = staged(uploads, "b")
    commit = blob.commit

    def commit_then_sweep() -> None:
        commit()
        assert sweep(repository)() == 1

    monkeypatch.setattr(blob, "commit", commit_then_sweep, raising=False)
    with pytest.raises(Unavailable, match="send them again"):
        uploads.finish(ACTOR, announced("b"), blob).result(10)
    uploads.discard(blob)
    assert upload(uploads, "b")


def test_a_refused_upload_leaves_no_bytes(repository: Repository, uploads: Uploads) -> None:
    blob = staged(uploads, "a")
    sha256, _ = blob.finish()
    blob.commit()
    uploads.discard(blob)
    assert not repository.opened.blobs.exists(sha256)


def test_bytes_without_a_row_are_orphans_and_go(repository: Repository, uploads: Uploads) -> None:
    kept = upload(uploads, "a")
    blob = repository.opened.blobs.stage()
    blob.write(b"left by a power cut")
    orphan, _ = blob.finish()
    blob.commit()
    os.utime(repository.opened.blobs.path(orphan), (0, 0))
    assert sweep(repository).orphans() == 1
    assert not repository.opened.blobs.exists(orphan)
    assert repository.opened.blobs.exists(kept.content.sha256)
