"""What every copy for devices promises: whole files, names that stay, and one moment at which it moves on."""

import hashlib
import urllib.request
from pathlib import Path

import pytest

from otarium.adapters import offload_objects
from otarium.adapters.blobs_files import FileBlobStore
from otarium.adapters.offload_files import FileOffload
from otarium.adapters.offload_objects import ObjectOffload
from otarium.domain.errors import Unavailable
from otarium.domain.names import Sha256
from otarium.domain.offloaded import TIMESTAMP
from otarium.services.ports_offload import OffloadTarget

BODY = b"the bytes " * 100_000


@pytest.fixture(params=["directory", "bucket"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> OffloadTarget:
    if request.param == "directory":
        return FileOffload(tmp_path / "copy")
    made: OffloadTarget = request.getfixturevalue("bucket")
    return made


@pytest.fixture
def bucket(s3: str, tmp_path: Path) -> OffloadTarget:
    name = f"offload-{tmp_path.name}".replace("_", "-").lower()[:60].strip("-")
    urllib.request.urlopen(urllib.request.Request(f"{s3}/{name}", method="PUT")).close()
    options = {"endpoint": s3, "access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"}
    return ObjectOffload(f"s3://{name}/copy", client_options={"allow_http": True}, **options)


@pytest.fixture
def store(tmp_path: Path) -> tuple[FileBlobStore, Sha256]:
    made = FileBlobStore(tmp_path / "blobs")
    made.prepare()
    return made, stored(made, BODY)


def stored(store: FileBlobStore, body: bytes) -> Sha256:
    staged = store.stage()
    staged.write(body)
    sha256, _ = staged.finish()
    staged.commit()
    return sha256


def put_blob(target: OffloadTarget, store: tuple[FileBlobStore, Sha256], *names: str) -> None:
    blobs, sha256 = store
    blob = blobs.open(sha256)
    assert blob is not None
    with blob, target.held():
        target.put_blob(names, sha256, blob)


def test_a_file_comes_back_as_it_was_put(target: OffloadTarget) -> None:
    assert target.read("tuf/1.root.json") is None
    with target.held():
        target.put("tuf/1.root.json", b"root", 1)
    assert target.read("tuf/1.root.json") == b"root"
    assert list(target.names()) == ["tuf/1.root.json"]


def test_the_bytes_of_a_package_have_all_their_names(target: OffloadTarget, store: tuple) -> None:
    names = ("tuf/targets/a/H.b c-1", "repo/targets/a/b c-1", "repo/targets/größe 50%-1")
    put_blob(target, store, *names)
    put_blob(target, store, *names)
    assert [target.read(name) for name in names] == [BODY] * 3
    assert sorted(target.names()) == sorted(names)
    with target.held():
        target.delete(names[1])
        target.delete(names[1])
    assert target.read(names[1]) is None and target.read(names[0]) == BODY


def test_a_name_without_a_hash_gets_the_bytes_of_the_package_that_has_it_now(
    target: OffloadTarget, store: tuple
) -> None:
    blobs, sha256 = store
    others = stored(blobs, BODY.swapcase())
    for now in (sha256, others, sha256):
        put_blob(target, (blobs, now), f"tuf/targets/{now}.a-1", "repo/targets/a-1")
        assert target.read("repo/targets/a-1") == target.read(f"tuf/targets/{now}.a-1")
        assert hashlib.sha256(target.read("repo/targets/a-1") or b"").hexdigest() == now


@pytest.mark.parametrize("most_copied", [1, 1024**3])
def test_what_a_bucket_has_is_neither_sent_nor_copied_again(
    bucket: OffloadTarget, store: tuple, monkeypatch: pytest.MonkeyPatch, most_copied: int
) -> None:
    monkeypatch.setattr(offload_objects, "_MOST_COPIED", most_copied)
    names = ("tuf/targets/H.a-1", "repo/targets/a-1")
    put_blob(bucket, store, *names)
    assert [bucket.read(name) for name in names] == [BODY] * 2
    for change in ("put", "copy"):
        monkeypatch.setattr(offload_objects.obstore, change, None)
    put_blob(bucket, store, *names)


def test_the_timestamp_moves_on_and_is_no_versioned_name(target: OffloadTarget) -> None:
    for number in (1, 2):
        with target.held():
            target.put(f"tuf/{number}.timestamp.json", b"%d" % number, number)
            target.read(TIMESTAMP)
            target.switch(number, {TIMESTAMP: f"tuf/{number}.timestamp.json"})
        assert target.read(TIMESTAMP) == b"%d" % number
    assert sorted(target.names()) == ["tuf/1.timestamp.json", "tuf/2.timestamp.json"]


def test_all_plain_names_of_a_directory_move_at_once(tmp_path: Path) -> None:
    target = FileOffload(tmp_path)
    plain = ("repo/timestamp.json", "repo/delegations/p-0001.json", TIMESTAMP)
    for number in (1, 2, 3, 4, 5):
        with target.held():
            for name in plain:
                target.put(
                    name.replace("repo/", f"repo/{number}.").replace("tuf/", f"tuf/{number}."),
                    b"%d" % number,
                    number,
                )
            versioned = {
                name: name.replace("repo/", f"repo/{number}.").replace("tuf/", f"tuf/{number}.")
                for name in plain
            }
            target.switch(number, versioned)
        assert {target.read(name) for name in plain} == {b"%d" % number}
        assert (tmp_path / ".current").readlink() == Path(f".releases/{number}")
    assert len(list((tmp_path / ".releases").iterdir())) == 3


def test_a_bucket_whose_timestamp_somebody_else_replaced_is_left_alone(bucket: OffloadTarget) -> None:
    bucket.put("tuf/1.timestamp.json", b"1", 1)
    bucket.read(TIMESTAMP)
    bucket.switch(1, {TIMESTAMP: "tuf/1.timestamp.json"})
    with pytest.raises(Unavailable, match="meanwhile"):
        bucket.switch(1, {TIMESTAMP: "tuf/1.timestamp.json"})


def test_a_directory_has_one_writer_at_a_time(tmp_path: Path) -> None:
    first, second = FileOffload(tmp_path), FileOffload(tmp_path)
    with first.held(), pytest.raises(Unavailable, match="Another process"), second.held():
        pass
    with second.held():
        pass


def test_bytes_are_linked_where_the_file_system_can(tmp_path: Path, store: tuple) -> None:
    blobs, sha256 = store
    target = FileOffload(tmp_path / "copy", blobs.link)
    put_blob(target, store, "tuf/targets/H.a-1", "repo/targets/a-1")
    assert (tmp_path / "copy/repo/targets/a-1").samefile(blobs.path(sha256))
