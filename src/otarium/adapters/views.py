"""What the workers of one machine tell each other in shared memory: the newest release, and which release
a device took last.

Behind the number of the newest release stands a fixed table of slots: (hash of the device, release
number, time). A slot is overwritten by the next device that falls on it, and a torn read shows as a
wrong hash, so nothing is ever locked; whoever is forgotten gets the newest release.
"""

import hashlib
import mmap
import os
import struct
from functools import lru_cache
from pathlib import Path

_SLOT = struct.Struct("<16sQd")
_SLOTS = 1 << 16
_SECONDS = 60.0
_NEWEST_BYTES = 8
_TABLE = 64
_BYTES = _TABLE + _SLOTS * _SLOT.size


class SharedViews:
    """About 2 MiB for 65,536 devices at a time. The file is made anew at every start of the server."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        # Really allocated: writing to a hole of a mapped file on a full disk would kill the process.
        os.posix_fallocate(descriptor, 0, _BYTES)
        self._table = mmap.mmap(descriptor, _BYTES)
        os.close(descriptor)
        self._newest = memoryview(self._table)[:_NEWEST_BYTES].cast("Q")

    def announce(self, number: int) -> None:
        if number > self.announced():
            self._newest[0] = number

    def announced(self) -> int:
        return self._newest[0]

    def remember(self, device: bytes, number: int, now: float) -> None:
        digest, offset = _place(device)
        _SLOT.pack_into(self._table, offset, digest, number, now)

    def recall(self, device: bytes, now: float) -> int | None:
        digest, offset = _place(device)
        stored, number, seen = _SLOT.unpack_from(self._table, offset)
        fresh = now - _SECONDS <= seen <= now + _SECONDS
        return number if stored == digest and fresh else None


@lru_cache(1 << 14)
def _place(device: bytes) -> tuple[bytes, int]:
    digest = hashlib.blake2b(device, digest_size=16).digest()
    return digest, _TABLE + int.from_bytes(digest[:2], "little") % _SLOTS * _SLOT.size
