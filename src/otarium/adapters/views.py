"""Which release a device took last, in memory that the workers of one machine share.

A fixed table of slots in a mapped file: (hash of the device, release number, time). A slot is
overwritten by the next device that falls on it, and a torn read shows as a wrong hash, so nothing is
ever locked; whoever is forgotten gets the newest release.
"""

import hashlib
import mmap
import os
import struct
from pathlib import Path

_SLOT = struct.Struct("<16sQd")
_SLOTS = 1 << 16
_SECONDS = 60.0


class SharedViews:
    """About 2 MiB for 65,536 devices at a time."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        # Really allocated: writing to a hole of a mapped file on a full disk would kill the process.
        os.posix_fallocate(descriptor, 0, _SLOTS * _SLOT.size)
        self._table = mmap.mmap(descriptor, _SLOTS * _SLOT.size)
        os.close(descriptor)

    def remember(self, device: bytes, number: int, now: float) -> None:
        digest, offset = _place(device)
        _SLOT.pack_into(self._table, offset, digest, number, now)

    def recall(self, device: bytes, now: float) -> int | None:
        digest, offset = _place(device)
        stored, number, seen = _SLOT.unpack_from(self._table, offset)
        fresh = now - _SECONDS <= seen <= now + _SECONDS
        return number if stored == digest and fresh else None


def _place(device: bytes) -> tuple[bytes, int]:
    digest = hashlib.blake2b(device, digest_size=16).digest()
    return digest, int.from_bytes(digest[:2], "little") % _SLOTS * _SLOT.size
