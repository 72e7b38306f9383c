"""What many uploads into an object store hold in memory, however many they are and however slow."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from contract import uploads_at_once
from contract.conftest import in_bucket
from contract.test_blob_store import LARGE, read
from otarium.adapters import parts
from otarium.adapters.blobs_objects import ObjectBlobStore
from otarium.domain.errors import StorageFull

MIB = 1024 * 1024
UPLOADS = 100


@pytest.mark.parametrize("size", [6 * MIB, 4 * MIB], ids=["of two parts", "of one part"])
def test_a_hundred_uploads_at_once_hold_less_than_256_mib(
    s3: str, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They all have sent everything before the first one is finished."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_KEY_BUFFER_SIZE", "1024")  # the store is in this process
    bucket = in_bucket(s3, f"memory-{size}")
    next(bucket)
    given = [f"s3://memory-{size}", s3, str(tmp_path), str(UPLOADS), str(size)]
    done = subprocess.run(
        [sys.executable, uploads_at_once.__file__, *given], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 256 * MIB
    assert list(tmp_path.iterdir()) == [], "parts on the disk have no names"
    assert list(bucket) == []


@pytest.fixture
def store(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectBlobStore:
    monkeypatch.setattr(parts, "_IN_MEMORY", 1)
    monkeypatch.setattr(parts, "_TURNS", 1)
    return next(in_bucket(s3, f"parts-{tmp_path.name}".replace("_", "-").lower()))


def test_nobody_waits_for_uploads_that_stall_with_what_there_is_of_memory(store: ObjectBlobStore) -> None:
    stalled = [store.stage() for _ in range(3)]
    for one in stalled:
        one.write(LARGE[: 6 * MIB])
    found = []

    def upload() -> None:
        staged = store.stage()
        for start in range(0, len(LARGE), 300_001):
            staged.write(LARGE[start : start + 300_001])
        sha256, length = staged.finish()
        staged.commit()
        found.append((length, read(store, sha256)))

    thread = threading.Thread(target=upload, daemon=True)
    thread.start()
    thread.join(60)
    assert found == [(len(LARGE), LARGE)]
    for one in stalled:
        one.cancel()


def test_places_in_memory_come_back_however_an_upload_ends(store: ObjectBlobStore) -> None:
    for end in ("cancel", "commit", "cancel"):
        staged = store.stage()
        assert staged._place.in_memory
        staged.write(LARGE if end == "commit" else b"small")
        if end == "commit":
            staged.finish()
            staged.commit()
        staged.cancel()
    assert store.stage()._place.in_memory


def test_a_full_disk_refuses_the_upload_that_waits_there(
    store: ObjectBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = store.stage()
    waiting = store.stage()
    with Path("/dev/full").open("r+b", buffering=0) as full:
        monkeypatch.setattr(waiting._part, "_file", full)
        with pytest.raises(StorageFull, match="uploads wait"):
            waiting.write(b"x")
    for one in (held, waiting):
        one.cancel()
