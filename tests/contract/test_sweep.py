"""Delete, upload of the same bytes and the sweep, in every interleaving: nothing acknowledged is lost."""

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from otarium import backends
from otarium.adapters.locks import FileLocks
from otarium.domain.access import Actor, Scope
from otarium.domain.errors import Unavailable
from otarium.domain.names import HardwareId, PackageName, PackageVersion, Sha256
from otarium.domain.packages import Package
from otarium.services.packages import Limits, Packages
from otarium.services.ports_blobs import StagedBlob
from otarium.services.renewal import MOST_FAILURES, Sweep
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
    opened = repository.opened
    return Uploads(opened.catalog, opened.blobs, packages, Limits(), opened.sweep())


def announced(name: str, content: bytes = BYTES) -> Upload:
    hardware_ids = (HardwareId("hw"),)
    return Upload(PackageName(name), PackageVersion("1"), hardware_ids, len(content), None)


def staged(uploads: Uploads, name: str, content: bytes = BYTES) -> StagedBlob:
    blob = uploads.begin(ACTOR, announced(name, content))
    blob.write(content)
    return blob


def upload(uploads: Uploads, name: str, content: bytes = BYTES) -> Package:
    return uploads.finish(ACTOR, announced(name, content), staged(uploads, name, content)).result(10)


def sweep(repository: Repository) -> Sweep:
    repository.clock.time += 10
    opened = repository.opened
    locks = backends.locks(opened.settings, "blob")
    return Sweep(opened.catalog, opened.blobs, repository.clock, grace=1, locks=locks)


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


class Slow:
    """A store whose deletions wait, or fail."""

    def __init__(self, sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.fails = False
        delete = sweep._blobs.delete

        def slow(sha256: Sha256) -> None:
            self.asked.set()
            assert self.go_on.wait(30)
            if self.fails:
                raise Unavailable("The store for packages cannot be reached.")
            delete(sha256)

        monkeypatch.setattr(sweep._blobs, "delete", slow)


def test_publishing_goes_on_while_a_store_takes_its_time_to_delete(
    repository: Repository, packages: Packages, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = upload(uploads, "a")
    packages.delete(ACTOR, gone.id).result(10)
    slow_sweep = sweep(repository)
    store = Slow(slow_sweep, monkeypatch)
    thread = threading.Thread(target=slow_sweep)
    thread.start()
    assert store.asked.wait(10)
    assert upload(uploads, "other", b"other bytes").id == "other-1"
    assert sweep(repository)() == 0, "one sweeps at a time, and nobody waits for it"
    for _ in range(2):
        with pytest.raises(Unavailable, match="send them again"):
            upload(uploads, "b")
    store.go_on.set()
    thread.join(10)
    assert upload(uploads, "b").content.sha256 == gone.content.sha256
    assert repository.opened.blobs.exists(gone.content.sha256)
    assert sweep(repository)() == 0


def test_what_a_store_did_not_delete_is_deleted_by_the_next_sweep(
    repository: Repository, packages: Packages, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = upload(uploads, "a")
    packages.delete(ACTOR, gone.id).result(10)
    with monkeypatch.context() as patched:
        failing = sweep(repository)
        store = Slow(failing, patched)
        store.fails = True
        store.go_on.set()
        with pytest.raises(Unavailable):
            failing()
    assert repository.opened.blobs.exists(gone.content.sha256)
    assert sweep(repository)() == 1
    assert not repository.opened.blobs.exists(gone.content.sha256)


def test_one_blob_that_cannot_be_removed_does_not_keep_the_others(
    repository: Repository, packages: Packages, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = [upload(uploads, name, name.encode()) for name in "abc"]
    for package in gone:
        packages.delete(ACTOR, package.id).result(10)
    stuck = min(package.content.sha256 for package in gone)
    swept = sweep(repository)
    delete = swept._blobs.delete

    def stuck_at_one(sha256: Sha256) -> None:
        if sha256 == stuck:
            raise OSError(errno.EIO, "Input/output error")
        delete(sha256)

    with monkeypatch.context() as patched:
        patched.setattr(swept._blobs, "delete", stuck_at_one)
        with pytest.raises(OSError, match="Input/output"):
            swept()
    left = [package.content.sha256 for package in gone if swept._blobs.exists(package.content.sha256)]
    assert left == [stuck]
    assert sweep(repository)() == 1


def test_a_sweep_gives_up_on_a_store_that_is_away(
    repository: Repository, packages: Packages, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(MOST_FAILURES + 5):
        package = upload(uploads, f"n{number}", b"%d" % number)
        packages.delete(ACTOR, package.id).result(10)
    swept, asked = sweep(repository), list[Sha256]()

    def away(sha256: Sha256) -> None:
        asked.append(sha256)
        raise Unavailable("The store for packages cannot be reached.")

    monkeypatch.setattr(swept._blobs, "delete", away)
    with pytest.raises(Unavailable, match="cannot be reached"):
        swept()
    assert len(asked) == MOST_FAILURES


def test_a_sweep_that_lost_its_lock_spares_bytes_that_came_back(
    repository: Repository, packages: Packages, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the database that held it went away: another one swept meanwhile, and an upload followed."""
    packages.delete(ACTOR, upload(uploads, "a").id).result(10)
    slow, quick = sweep(repository), sweep(repository)
    monkeypatch.setattr(slow, "_locks", FileLocks(repository.opened.settings.storage.data_dir / "lost"))
    remove = slow._remove

    def after_the_other(sha256: Sha256) -> bool:
        assert quick() == 1
        upload(uploads, "b")
        return remove(sha256)

    monkeypatch.setattr(slow, "_remove", after_the_other)
    assert slow() == 0
    assert repository.opened.blobs.exists(upload(uploads, "b").content.sha256)


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


def refused(uploads: Uploads, content: bytes) -> Sha256:
    """As the publisher refuses it, once its bytes have arrived."""
    blob = staged(uploads, "refused", content)
    sha256, _ = blob.finish()
    blob.commit()
    uploads.discard(blob)
    return sha256


def test_a_refused_upload_leaves_no_bytes(repository: Repository, uploads: Uploads) -> None:
    assert not repository.opened.blobs.exists(refused(uploads, b"refused"))
    assert upload(uploads, "b", b"refused")


def test_a_refused_upload_leaves_the_bytes_of_packages(repository: Repository, uploads: Uploads) -> None:
    kept = upload(uploads, "a")
    assert refused(uploads, BYTES) == kept.content.sha256
    assert repository.opened.blobs.exists(kept.content.sha256)
    assert sweep(repository)() == 0


def test_bytes_that_are_refused_during_a_sweep_go_with_the_next(
    repository: Repository, packages: Packages, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages.delete(ACTOR, upload(uploads, "a").id).result(10)
    slow = sweep(repository)
    with monkeypatch.context() as patched:
        store = Slow(slow, patched)
        thread = threading.Thread(target=slow)
        thread.start()
        assert store.asked.wait(10)
        sha256, taken = refused(uploads, b"refused"), refused(uploads, b"sent again")
        store.go_on.set()
        thread.join(10)
    assert upload(uploads, "b", b"sent again").content.sha256 == taken
    assert repository.opened.blobs.exists(sha256)
    assert sweep(repository)() == 1
    assert not repository.opened.blobs.exists(sha256)
    assert repository.opened.blobs.exists(taken)


def test_bytes_without_a_row_go_when_the_grace_is_over(repository: Repository, uploads: Uploads) -> None:
    kept = upload(uploads, "a")
    blob = repository.opened.blobs.stage()
    blob.write(b"left by a power cut")
    orphan, _ = blob.finish()
    blob.commit()
    os.utime(repository.opened.blobs.path(orphan), (0, 0))
    sweeping = sweep(repository)
    assert (sweeping.orphans(), sweeping.orphans(), sweeping()) == (1, 0, 0)
    assert sweep(repository)() == 1
    assert not repository.opened.blobs.exists(orphan)
    assert repository.opened.blobs.exists(kept.content.sha256)
