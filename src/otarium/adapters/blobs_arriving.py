"""One upload on its way into an object store; `blobs_objects` tells what lies where."""

import hashlib
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError

from otarium.adapters.objects import MISSING, Bucket, claim_of, key_of, note, remove, tokens_of, translated
from otarium.adapters.parts import PART_BYTES, Place
from otarium.domain.errors import Unavailable
from otarium.domain.names import Sha256

if TYPE_CHECKING:
    from obstore import WritableFile

_LATE_SECONDS = 120
"""How long a store may take to put gigabytes together after the answer to that was given up."""
_LAST_TIME = 10**20 - 1
"""In nanoseconds."""


class StagedObject:
    """All methods block; call them from one thread at a time."""

    def __init__(self, bucket: Bucket, place: Place, *, reads_back: bool) -> None:
        """`reads_back`: the store does not check what it gets, so all is read again and hashed."""
        self._bucket = bucket
        self._place = place
        self._reads_back = reads_back
        # The newest arrival of the same bytes has the lowest, and outlives the others.
        self._token = f"{_LAST_TIME - time.time_ns():020}-{secrets.token_hex(8)}"
        self._part = place.part()
        self._writer: WritableFile | None = None
        self._hash = hashlib.sha256()
        self._length = 0
        self.sha256: Sha256 | None = None

    @property
    def _arrived(self) -> str:
        return f"arrived/{self._token}"

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        self._length += len(data)
        left = memoryview(data)
        with translated():
            while left:
                if not self._part.room:
                    left = self._send(left)
                left = self._part.write(left)

    def _send(self, more: memoryview) -> memoryview:
        """Hand a full part to the store, and begin another one; what is left of `more`. Without a place in
        memory nothing stays on its way: a writer of one part at a time takes no byte before that arrived."""
        writer, ahead = self._open(), 0 if self._place.in_memory else 1
        with self._place.sending(self._part) as pieces:
            for piece in pieces:
                writer.write(piece)
            if ahead:
                writer.write(more[:ahead])
        self._part = self._place.part(ahead)
        return more[ahead:]

    def _open(self) -> "WritableFile":
        if self._writer is None:
            at_once = 2 if self._place.in_memory else 1
            self._writer = obstore.open_writer(
                self._bucket.bytes, self._arrived, buffer_size=PART_BYTES, max_concurrency=at_once
            )
        return self._writer

    def finish(self) -> tuple[Sha256, int]:
        sha256 = Sha256(self._hash.hexdigest())
        if self._writer is not None or self._reads_back:
            with translated(), self._place.sending(self._part) as pieces:
                writer = self._open()
                for piece in pieces:
                    writer.write(piece)
                self._seal(writer)
            self._place.close()
            self._require_whole(self._arrived)
            if self._reads_back:
                self._require_same(self._arrived)
        self.sha256 = sha256
        return sha256, self._length

    def _seal(self, writer: "WritableFile") -> None:
        """From now on there is an object, which somebody has to remove if nobody claims it."""
        note(self._bucket, self._token, self._hash.hexdigest())
        try:
            writer.close()
        except MISSING:
            # A store whose answer was lost, or is late, was asked again, and knows no such upload any more:
            # it is whole, or is still being put together, or is gone. `_require_whole` finds out.
            self._wait_until_there()

    def _wait_until_there(self) -> None:
        for _ in range(_LATE_SECONDS):
            with suppress(*MISSING):
                obstore.head(self._bucket.names, self._arrived)
                return
            time.sleep(1)

    def _require_whole(self, key: str) -> None:
        stored = 0
        with translated(), suppress(*MISSING):
            stored = obstore.head(self._bucket.names, key)["size"]
        if stored != self._length:
            raise Unavailable(f"The object store kept {stored} of {self._length} bytes; send them again.")

    def _require_same(self, key: str) -> None:
        whole = hashlib.sha256()
        with translated():
            for start in range(0, self._length, PART_BYTES):
                end = min(start + PART_BYTES, self._length)
                whole.update(obstore.get_range(self._bucket.bytes, key, start=start, end=end))
        if whole.hexdigest() != self._hash.hexdigest():
            raise Unavailable("The object store kept other bytes than it was sent; send them again.")

    def commit(self) -> None:
        if self.sha256 is None:
            raise RuntimeError("commit before finish")
        with translated():
            if self._writer is None:
                with self._place.sending(self._part) as pieces:
                    obstore.put(
                        self._bucket.bytes, key_of(self.sha256), b"".join(pieces), use_multipart=False
                    )
                self._place.close()
                self._require_whole(key_of(self.sha256))
                return
            obstore.put(self._bucket.names, claim_of(self.sha256, self._token), b"")
            self._writer = None
            newest, *others = tokens_of(self._bucket, self.sha256)
            for token in others:  # somebody may be reading those; they go in a day
                note(self._bucket, token, self.sha256)
            if newest == self._token:
                remove(self._bucket, f"arriving/{self._token}")

    def cancel(self) -> None:
        """What cannot be removed now is removed as abandoned."""
        self._part.close()
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(BaseError, OSError):
                if not writer.closed():
                    self._seal(writer)
            with suppress(BaseError, OSError):
                remove(self._bucket, self._arrived)
                remove(self._bucket, f"arriving/{self._token}")
        self._place.close()
