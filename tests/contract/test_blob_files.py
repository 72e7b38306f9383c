"""Staging in a directory: what killed workers left goes, what is on its way stays."""

import os
import time
from pathlib import Path

from otarium.adapters.blobs_files import FileBlobStore


def test_what_is_staged_is_cleared_when_nobody_holds_it_and_it_was_not_made_just_now(tmp_path: Path) -> None:
    store = FileBlobStore(tmp_path)
    store.prepare()
    held = store.stage()
    held.write(b"still coming")
    left, new = tmp_path / "staging" / "left", tmp_path / "staging" / "new"
    for path in (left, new):
        path.write_bytes(b"x")
    long_ago = time.time() - 60
    for path in (tmp_path / "staging").iterdir():
        if path != new:
            os.utime(path, (long_ago, long_ago))
    store.clear_abandoned()
    assert not left.exists()
    assert new.exists()  # made, but perhaps not locked yet
    held.finish()
    held.commit()


def test_a_replica_that_starts_leaves_alone_what_another_one_is_writing(tmp_path: Path) -> None:
    store = FileBlobStore(tmp_path)
    store.prepare()
    coming = store.stage()
    coming.write(b"still coming")
    FileBlobStore(tmp_path, shared=True).prepare()
    sha256, _ = coming.finish()
    coming.commit()
    assert store.exists(sha256)
