"""An object store whose client dies: after any request nothing acknowledged is missing, and a day later there
is nothing left over."""

import itertools
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
import pytest

from contract.altering import altering
from contract.conftest import in_bucket
from contract.test_blob_store import LARGE, put, read
from otarium.adapters import blobs_arriving, blobs_objects, objects
from otarium.adapters.blobs_objects import ObjectBlobStore
from otarium.adapters.parts import PART_BYTES
from otarium.domain.errors import Unavailable
from otarium.domain.names import Sha256

REQUESTS = ("put", "head", "list", "delete", "get")


class Died(BaseException):
    """No handler in the code sees the end of its process."""


@pytest.fixture
def store(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectBlobStore]:
    monkeypatch.setattr(blobs_objects, "_ABANDONED", timedelta(seconds=-10))
    yield from in_bucket(s3, tmp_path.name.replace("_", "-").lower())


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, step: int) -> Iterator[None]:
    """Instead of the request after this many."""
    count = itertools.count()

    def counted(call: Any) -> Any:
        def asked(*arguments: Any, **options: Any) -> Any:
            if next(count) >= step:
                raise Died
            return call(*arguments, **options)

        return asked

    with monkeypatch.context() as patch:
        for name in REQUESTS:
            patch.setattr(obstore, name, counted(getattr(obstore, name)))
        with pytest.raises(Died):
            yield


def names(store: ObjectBlobStore) -> set[str]:
    return {one["path"].split("/")[0] for page in obstore.list(store._bucket.names) for one in page}


@pytest.mark.parametrize("step", range(6))
def test_an_upload_that_dies_at_any_step_leaves_the_bytes_that_were_there(
    store: ObjectBlobStore, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    sha256 = put(store, LARGE)
    with dying(monkeypatch, step):
        put(store, LARGE)
    store.clear_abandoned()
    assert read(store, sha256) == LARGE
    assert "arriving" not in names(store)
    put(store, LARGE)
    store.clear_abandoned()
    assert len(list(obstore.list(store._bucket.names, "arrived/").collect())) == 1, (
        "the same bytes are kept once"
    )
    assert read(store, sha256) == LARGE
    store.delete(sha256)
    assert names(store) == set()


def test_of_two_uploads_of_the_same_bytes_one_stays_whichever_began_or_ended_first(
    store: ObjectBlobStore,
) -> None:
    for begun_first in (True, False):
        staged = [store.stage(), store.stage()]
        for one in staged:
            one.write(LARGE)
            sha256, _ = one.finish()
        for one in staged if begun_first else staged[::-1]:
            one.commit()
        store.clear_abandoned()
        assert read(store, sha256) == LARGE
        assert len(list(objects.listed(store._bucket, "arrived/"))) == 1
        store.delete(sha256)


@pytest.mark.parametrize("step", range(4))
def test_a_first_upload_that_dies_before_its_claim_leaves_nothing(
    store: ObjectBlobStore, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Claimed bytes without a row are found among the orphans."""
    with dying(monkeypatch, step):
        put(store, LARGE)
    store.clear_abandoned()
    for sha256 in list(store.orphans(frozenset(), 2**40)):
        store.delete(sha256)
    assert names(store) == set()


@pytest.mark.parametrize("step", range(6))
def test_a_deletion_that_dies_at_any_step_is_finished_by_the_next(
    store: ObjectBlobStore, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    sha256 = put(store, LARGE)
    with dying(monkeypatch, step):
        store.delete(sha256)
    store.delete(sha256)
    store.clear_abandoned()
    assert not store.exists(sha256)
    assert names(store) == set()


def test_readers_find_a_large_blob_once_in_half_a_minute_and_it_is_missed_as_soon_as_it_is_deleted(
    store: ObjectBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def counted(name: str, call: Any) -> Any:
        def ask(*arguments: Any) -> Any:
            asked.append(name)
            return call(*arguments)

        return ask

    sha256 = put(store, LARGE)
    assert store.open("0" * 64) is None
    for name in ("head", "list"):
        monkeypatch.setattr(obstore, name, counted(name, getattr(obstore, name)))
    monkeypatch.setattr(blobs_objects.time, "monotonic", lambda: 1000.0)
    for _ in range(3):
        assert read(store, sha256) == LARGE
    assert asked == ["head", "list", "head"]
    assert store.exists(sha256) and len(asked) == 6, "whoever lists a package looks for its bytes"
    store.delete(sha256)
    assert store.open(sha256) is None
    assert put(store, LARGE) == sha256 and read(store, sha256) == LARGE
    monkeypatch.setattr(blobs_objects.time, "monotonic", lambda: 1031.0)
    asked.clear()
    assert read(store, sha256) == LARGE and asked
    store.delete(sha256)


SMALL = b"no more than a part " * 100


@pytest.mark.parametrize("checks", [True, False], ids=["by the store", "by reading back"])
@pytest.mark.parametrize(("content", "part"), [(SMALL, 1), (LARGE, 1), (LARGE, 3)])
def test_bytes_that_arrive_as_others_are_refused_and_replace_nothing(
    s3: str, tmp_path: Path, content: bytes, part: int, checks: bool
) -> None:
    with altering(s3, checks=checks) as proxy:
        name = tmp_path.name.replace("_", "-").lower()
        stores = in_bucket(proxy.url, name, reads_back=not checks)
        store = next(stores)
        sha256 = put(store, content)
        assert read(store, sha256) == content
        count = len(content) // PART_BYTES + 1
        proxy.alters = {count + part}
        staged = store.stage()
        with pytest.raises(Unavailable):
            staged.write(content)
            staged.finish()
            staged.commit()
        staged.cancel()
        assert read(store, sha256) == content
        proxy.alters = set()
        assert put(store, content) == sha256
        store.delete(sha256)
        assert list(stores) == []


def test_what_is_read_back_wrong_is_listed_nowhere(s3: str, tmp_path: Path) -> None:
    with altering(s3, checks=False) as proxy:
        stores = in_bucket(proxy.url, tmp_path.name.replace("_", "-").lower(), reads_back=True)
        store = next(stores)
        proxy.alters = {1}
        staged = store.stage()
        staged.write(SMALL)
        with pytest.raises(Unavailable, match="other bytes"):
            staged.finish()
        staged.cancel()
        assert staged.sha256 is None and names(store) == set()


@pytest.mark.parametrize("lost", ["answer", "upload"])
def test_an_upload_counts_as_whole_where_only_the_answer_was_lost(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """To complete a large one may take a store longer than anybody waits for an answer."""
    monkeypatch.setattr(blobs_arriving, "_LATE_SECONDS", 1)
    with altering(s3, checks=True) as proxy:
        stores = in_bucket(proxy.url, tmp_path.name.replace("_", "-").lower())
        store, proxy.loses = next(stores), lost
        staged = store.stage()
        staged.write(LARGE)
        if lost == "answer":
            staged.finish()
            staged.commit()
            assert staged.sha256 is not None and read(store, staged.sha256) == LARGE
        else:
            with pytest.raises(Unavailable, match=f"kept 0 of {len(LARGE)} bytes"):
                staged.finish()
            staged.cancel()
        assert proxy.loses == ""
        assert list(stores) == []


def test_only_s3_is_trusted_to_check_what_it_gets() -> None:
    assert not ObjectBlobStore("s3://bucket", region="us-east-1")._reads_back
    assert ObjectBlobStore("az://bucket", account_name="a", skip_signature=True)._reads_back


def test_a_store_that_does_not_answer_is_waited_for_no_longer_than_its_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The clients' options of the environment are heard all the same: without them http would be refused."""
    monkeypatch.setattr(objects, "_NAMES_SECONDS", 1)
    for name, value in {"ALLOW_HTTP": "true", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        store = ObjectBlobStore("s3://bucket", region="us-east-1")
        started = time.monotonic()
        with pytest.raises(Unavailable):
            store.exists(Sha256("0" * 64))
        assert 0.9 < time.monotonic() - started < 10
