"""What every blob store promises: bytes appear whole, under their hash, and go when told."""

import hashlib
import time
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otarium.domain.errors import Unavailable
from otarium.domain.names import Sha256
from otarium.services.ports_blobs import BlobStore

LARGE = bytes(range(256)) * 60_000
"""More than one part of an upload into an object store."""


def put(blobs: BlobStore, *parts: bytes) -> Sha256:
    staged = blobs.stage()
    for part in parts:
        staged.write(part)
    sha256, length = staged.finish()
    assert length == sum(map(len, parts))
    staged.commit()
    staged.cancel()
    return sha256


def read(blobs: BlobStore, sha256: Sha256) -> bytes | None:
    blob = blobs.open(sha256)
    if blob is None:
        return None
    with blob:
        return blob.read_at(0, blob.length)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.binary(max_size=100), min_size=1, max_size=5))
def test_bytes_come_back_under_their_hash(blobs: BlobStore, parts: list[bytes]) -> None:
    sha256 = put(blobs, *parts)
    assert sha256 == hashlib.sha256(b"".join(parts)).hexdigest()
    assert read(blobs, sha256) == b"".join(parts)
    assert blobs.exists(sha256)


def test_nothing_is_visible_before_commit_and_nothing_stays_after_cancel(blobs: BlobStore) -> None:
    staged = blobs.stage()
    staged.write(b"x")
    sha256, _ = staged.finish()
    assert not blobs.exists(sha256)
    staged.cancel()
    assert not blobs.exists(sha256)
    blobs.stage().cancel()


def test_nothing_stays_of_a_large_upload_that_is_cancelled_at_any_point(blobs: BlobStore) -> None:
    halfway, finished = blobs.stage(), blobs.stage()
    for staged in (halfway, finished):
        staged.write(LARGE)
    sha256, _ = finished.finish()
    halfway.cancel()
    finished.cancel()
    assert not blobs.exists(sha256)


@pytest.mark.parametrize("content", [b"same", LARGE], ids=["small", "large"])
def test_the_same_bytes_twice_are_one_blob_and_go_as_one(blobs: BlobStore, content: bytes) -> None:
    sha256 = put(blobs, content)
    blob = blobs.open(sha256)
    assert blob is not None
    with blob:
        assert blob.read_at(0, 1) == content[:1]
        assert put(blobs, content[:2], content[2:]) == sha256
        assert blob.read_at(1, 3) == content[1:4], "whoever reads it meanwhile is not disturbed"
    assert read(blobs, sha256) == content
    blobs.delete(sha256)
    assert read(blobs, sha256) is None
    assert put(blobs, content) == sha256
    assert read(blobs, sha256) == content


def test_after_deletion_an_open_blob_is_read_to_its_end_or_not_at_all(blobs: BlobStore) -> None:
    sha256 = put(blobs, b"x" * 1000)
    blob = blobs.open(sha256)
    assert blob is not None
    with blob:
        blobs.delete(sha256)
        with suppress(Unavailable):  # an object store forgets at once; the sweep waits for a grace
            assert blob.read_at(0, 1000) == b"x" * 1000
    assert read(blobs, sha256) is None
    blobs.delete(sha256)


def test_any_part_of_a_blob_can_be_read(blobs: BlobStore) -> None:
    content = LARGE
    sha256 = put(blobs, content[:1_000_000], content[1_000_000:])
    blob = blobs.open(sha256)
    assert blob is not None
    with blob:
        assert blob.length == len(content)
        assert blob.read_at(len(content) - 5, 100) == content[-5:]
        assert blob.read_at(6_000_000, 10) == content[6_000_000:6_000_010]
        assert blob.read_at(len(content), 10) == b""


def test_orphans_are_blobs_that_nobody_knows_and_that_are_old_enough(blobs: BlobStore) -> None:
    known, unknown, large = put(blobs, b"known"), put(blobs, b"unknown"), put(blobs, LARGE)
    assert set(blobs.orphans(frozenset({known}), time.time() + 10)) == {unknown, large}
    assert list(blobs.orphans(frozenset({known}), time.time() - 10)) == []


def test_the_store_tells_how_much_is_free(blobs: BlobStore) -> None:
    assert blobs.free_bytes() > 0
