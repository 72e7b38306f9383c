"""What every blob store promises: bytes appear whole, under their hash, and go when told."""

import hashlib
import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otarium.domain.names import Sha256
from otarium.services.ports import BlobStore


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
    file = blobs.open(sha256)
    if file is None:
        return None
    with file:
        return file.read()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


def test_the_same_bytes_twice_are_one_blob(blobs: BlobStore) -> None:
    assert put(blobs, b"same") == put(blobs, b"sa", b"me")


def test_an_open_blob_can_be_read_to_its_end_after_deletion(blobs: BlobStore) -> None:
    sha256 = put(blobs, b"x" * 1000)
    file = blobs.open(sha256)
    assert file is not None
    with file:
        blobs.delete(sha256)
        assert file.read() == b"x" * 1000
    assert read(blobs, sha256) is None
    blobs.delete(sha256)


def test_orphans_are_blobs_that_nobody_knows_and_that_are_old_enough(blobs: BlobStore) -> None:
    known, unknown = put(blobs, b"known"), put(blobs, b"unknown")
    assert list(blobs.orphans(frozenset({known}), time.time() + 10)) == [unknown]
    assert list(blobs.orphans(frozenset({known}), time.time() - 10)) == []


def test_the_store_tells_how_much_is_free(blobs: BlobStore) -> None:
    assert blobs.free_bytes() > 0
