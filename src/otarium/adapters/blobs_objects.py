"""Blobs in an object store (S3, Google Cloud Storage, Azure).

    sha256/ab/<hash>            the bytes of a blob of at most one part
    arrived/<token>             the bytes of a larger one
    large/ab/<hash>/<token>     says that they are this blob; empty
    arriving/<token>            the hash of bytes that may have arrived in vain; looked at after a day

The hash of an upload is known at its end, and no store renames without a copy: so larger ones stay where they
arrived. Bytes are hashed while they stream in parts. S3 checks the sha256 of every part; what other stores
keep is read again and hashed, and small bytes are claimed there like large ones: what is read wrong replaces
nothing. Once the store says that the object is whole, with the length that was sent, it is claimed; only then
may a transaction list it.
Objects are private: devices get them through this server, or by links that expire.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import obstore

from otarium.adapters.blobs_arriving import StagedObject
from otarium.adapters.objects import (
    MISSING,
    Bucket,
    claim_of,
    key_of,
    listed,
    note,
    opened,
    remove,
    tokens_of,
    translated,
)
from otarium.adapters.parts import Parts
from otarium.domain.errors import Unavailable
from otarium.domain.names import Sha256
from otarium.services.ports_blobs import UNLIMITED

_ABANDONED = timedelta(hours=24)
_LINK = timedelta(minutes=15)
_PLACES, _PLACE_SECONDS = 10_000, 30.0


class ObjectBlobStore:
    """Safe for any number of threads, processes and machines."""

    def __init__(
        self,
        url: str,
        *,
        links: bool = False,
        links_endpoint: str | None = None,
        reads_back: bool | None = None,
        directory: Path | None = None,
        **options: Any,
    ) -> None:
        """`links`: devices are sent to the store by links of 15 minutes, at `links_endpoint` where they reach
        it by another address. `reads_back`: what arrived is read again; where the store does not check it
        for None. Parts wait in `directory` for their turn. Credentials and endpoint come from the
        environment, as the store's own tools read them."""
        self._bucket = opened(url, **options)
        theirs = {**options, "endpoint": links_endpoint} if links_endpoint else options
        self._signing: Any = opened(url, **theirs).names
        self._places = lru_cache(_PLACES)(self._place)
        self._links = links
        self._reads_back = not url.startswith("s3://") if reads_back is None else reads_back
        self._parts = Parts(directory)

    def prepare(self) -> None:
        """Nothing to make; leftovers may belong to other replicas."""

    def clear_abandoned(self) -> None:
        """Remove what arrived for somebody who died before it was claimed, or what arrived once more, a day
        ago."""
        before = datetime.now(UTC) - _ABANDONED
        with translated():
            for found in listed(self._bucket, "arriving/"):
                if found["last_modified"] < before:
                    self._settle(found["path"])

    def _settle(self, ticket: str) -> None:
        token = ticket.rpartition("/")[2]
        sha256 = Sha256(bytes(obstore.get(self._bucket.names, ticket).bytes()).decode())
        if tokens_of(self._bucket, sha256)[:1] == [token]:
            remove(self._bucket, ticket)
        else:
            self._places.cache_clear()
            _disown(self._bucket, sha256, token)

    def stage(self) -> StagedObject:
        return StagedObject(self._bucket, self._parts.place(), reads_back=self._reads_back)

    def exists(self, sha256: Sha256) -> bool:
        return self._find(sha256) is not None

    def _find(self, sha256: Sha256) -> tuple[str, int] | None:
        """Key and length of its bytes."""
        with translated():
            for key in _places(self._bucket, sha256):
                with suppress(*MISSING):
                    return key, obstore.head(self._bucket.names, key)["size"]
        return None

    def _find_again(self, sha256: Sha256) -> tuple[str, int] | None:
        """The same for those who read, as it was within the last half minute: many devices ask for one blob
        at once, and to find a large one takes three requests. Bytes that gave way to others stay for a day.
        """
        try:
            return self._places(sha256, time.monotonic() // _PLACE_SECONDS)
        except KeyError:
            return None

    def _place(self, sha256: Sha256, _half_minute: float) -> tuple[str, int]:
        """Raises KeyError, since what is not there may be there in a moment."""
        found = self._find(sha256)
        if found is None:
            raise KeyError(sha256)
        return found

    def open(self, sha256: Sha256) -> "StoredObject | None":
        found = self._find_again(sha256)
        return None if found is None else StoredObject(self._bucket, *found)

    def link_to(self, sha256: Sha256) -> str | None:
        found = self._find_again(sha256) if self._links else None
        if found is None:
            return None
        with translated():  # stores that cannot sign are refused by the settings
            return str(obstore.sign(self._signing, "GET", found[0], _LINK))

    def delete(self, sha256: Sha256) -> None:
        self._places.cache_clear()
        with translated():
            tokens = tokens_of(self._bucket, sha256)
            remove(self._bucket, key_of(sha256))
            for token in tokens:
                _disown(self._bucket, sha256, token)

    def free_bytes(self) -> int:
        return UNLIMITED

    def orphans(self, known: frozenset[Sha256], before: float) -> Iterator[Sha256]:
        with translated():
            for prefix in ("sha256/", "large/"):
                for found in listed(self._bucket, prefix):
                    name = found["path"].split("/")[2]
                    if name not in known and found["last_modified"].timestamp() < before:
                        yield Sha256(name)


class StoredObject:
    """An object that is read a range at a time."""

    def __init__(self, bucket: Bucket, key: str, length: int) -> None:
        self._bucket = bucket
        self._key = key
        self.length = length

    def read_at(self, offset: int, size: int) -> bytes:
        end = min(offset + size, self.length)
        if offset >= end:
            return b""
        try:
            with translated():
                return bytes(obstore.get_range(self._bucket.bytes, self._key, start=offset, end=end))
        except MISSING as error:
            raise Unavailable("The package was removed while it was read.") from error

    def __enter__(self) -> "StoredObject":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held between two reads."""


def _places(bucket: Bucket, sha256: Sha256) -> Iterator[str]:
    """Where its bytes may be."""
    yield key_of(sha256)
    for token in tokens_of(bucket, sha256):
        yield f"arrived/{token}"


def _disown(bucket: Bucket, sha256: Sha256, token: str) -> None:
    """First it says no more what the bytes are, then they go."""
    note(bucket, token, sha256)
    for name in (claim_of(sha256, token), f"arrived/{token}", f"arriving/{token}"):
        remove(bucket, name)
