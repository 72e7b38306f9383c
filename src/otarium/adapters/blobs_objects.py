"""Blobs in an object store (S3, Google Cloud Storage, Azure).

    sha256/ab/<hash>            the bytes of a blob of at most one part
    arrived/<token>             the bytes of a larger one
    large/ab/<hash>/<token>     says that they are this blob; empty
    arriving/<token>            the hash of bytes that may have arrived in vain; looked at after a day

The hash of an upload is known at its end, and no store renames without a copy: so larger ones stay where they
arrived. Bytes are hashed while they stream in parts; S3 checks the sha256 of every part. Once the store says
that the object is whole, with the length that was sent, it is claimed; only then may a transaction list it.
Objects are private: devices get them through this server, or by links that expire.
"""

import hashlib
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import from_url

from otarium.domain.errors import Unavailable
from otarium.domain.names import Sha256
from otarium.services.ports_blobs import UNLIMITED

if TYPE_CHECKING:
    from obstore import ObjectMeta, WritableFile
    from obstore.store import ObjectStore

PART_BYTES = 5 * 1024 * 1024
"""The smallest part that S3 takes: what an upload holds in memory is a few of them."""
_PARTS_AT_ONCE = 2
_ABANDONED = timedelta(hours=24)
_LINK = timedelta(minutes=15)
_PLACES, _PLACE_SECONDS = 10_000, 30.0
_LAST_TIME = 10**20 - 1
"""In nanoseconds."""


class ObjectBlobStore:
    """Safe for any number of threads, processes and machines."""

    def __init__(
        self, url: str, *, links: bool = False, links_endpoint: str | None = None, **options: Any
    ) -> None:
        """`links`: devices are sent to the store by links of 15 minutes, at `links_endpoint` where they reach
        it by another address. Credentials and endpoint come from the environment, as the store's own tools
        read them."""
        config: Any = {"checksum_algorithm": "sha256"} if url.startswith("s3://") else None
        self._store = from_url(url, config=config, **options)
        self._links = links
        theirs = {**options, "endpoint": links_endpoint} if links_endpoint else options
        self._signing: Any = from_url(url, config=config, **theirs)
        self._places = lru_cache(_PLACES)(self._place)

    def prepare(self) -> None:
        """Nothing to make; leftovers may belong to other replicas."""

    def clear_abandoned(self) -> None:
        """Remove what arrived for somebody who died before it was claimed, or what arrived once more, a day
        ago."""
        before = datetime.now(UTC) - _ABANDONED
        with _translated():
            for found in _listed(self._store, "arriving/"):
                if found["last_modified"] < before:
                    self._settle(found["path"])

    def _settle(self, ticket: str) -> None:
        token = ticket.rpartition("/")[2]
        sha256 = Sha256(bytes(obstore.get(self._store, ticket).bytes()).decode())
        if _tokens(self._store, sha256)[:1] == [token]:
            _remove(self._store, ticket)
        else:
            self._places.cache_clear()
            _disown(self._store, sha256, token)

    def stage(self) -> "StagedObject":
        return StagedObject(self._store)

    def exists(self, sha256: Sha256) -> bool:
        return self._find(sha256) is not None

    def _find(self, sha256: Sha256) -> tuple[str, int] | None:
        """Key and length of its bytes."""
        with _translated():
            for key in _places(self._store, sha256):
                with suppress(NotFoundError, FileNotFoundError):
                    return key, obstore.head(self._store, key)["size"]
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
        return None if found is None else StoredObject(self._store, *found)

    def link_to(self, sha256: Sha256) -> str | None:
        found = self._find_again(sha256) if self._links else None
        if found is None:
            return None
        with _translated():  # stores that cannot sign are refused by the settings
            return str(obstore.sign(self._signing, "GET", found[0], _LINK))

    def delete(self, sha256: Sha256) -> None:
        self._places.cache_clear()
        with _translated():
            tokens = _tokens(self._store, sha256)
            _remove(self._store, _key(sha256))
            for token in tokens:
                _disown(self._store, sha256, token)

    def free_bytes(self) -> int:
        return UNLIMITED

    def orphans(self, known: frozenset[Sha256], before: float) -> Iterator[Sha256]:
        with _translated():
            for prefix in ("sha256/", "large/"):
                for found in _listed(self._store, prefix):
                    name = found["path"].split("/")[2]
                    if name not in known and found["last_modified"].timestamp() < before:
                        yield Sha256(name)


class StoredObject:
    """An object that is read a range at a time."""

    def __init__(self, store: "ObjectStore", key: str, length: int) -> None:
        self._store = store
        self._key = key
        self.length = length

    def read_at(self, offset: int, size: int) -> bytes:
        end = min(offset + size, self.length)
        if offset >= end:
            return b""
        try:
            with _translated():
                return bytes(obstore.get_range(self._store, self._key, start=offset, end=end))
        except (NotFoundError, FileNotFoundError) as error:
            raise Unavailable("The package was removed while it was read.") from error

    def __enter__(self) -> "StoredObject":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held between two reads."""


class StagedObject:
    """One upload. All methods block; call them from one thread at a time."""

    def __init__(self, store: "ObjectStore") -> None:
        self._store = store
        # The newest arrival of the same bytes has the lowest, and outlives the others.
        self._token = f"{_LAST_TIME - time.time_ns():020}-{secrets.token_hex(8)}"
        self._first = bytearray()
        """What has come, as long as it is no more than a part."""
        self._writer: WritableFile | None = None
        self._hash = hashlib.sha256()
        self._length = 0
        self.sha256: Sha256 | None = None

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        self._length += len(data)
        with _translated():
            if self._writer is None and self._length <= PART_BYTES:
                self._first += data
                return
            if self._writer is None:
                self._writer = obstore.open_writer(
                    self._store,
                    f"arrived/{self._token}",
                    buffer_size=PART_BYTES,
                    max_concurrency=_PARTS_AT_ONCE,
                )
                self._writer.write(bytes(self._first))
                self._first.clear()
            self._writer.write(data)

    def finish(self) -> tuple[Sha256, int]:
        sha256 = Sha256(self._hash.hexdigest())
        if self._writer is not None:
            with _translated():
                self._seal(self._writer)
            self._require_whole(f"arrived/{self._token}")
        self.sha256 = sha256
        return sha256, self._length

    def _seal(self, writer: "WritableFile") -> None:
        """From now on there is an object, which somebody has to remove if nobody claims it."""
        obstore.put(self._store, f"arriving/{self._token}", self._hash.hexdigest().encode())
        writer.close()

    def _require_whole(self, key: str) -> None:
        with _translated():
            stored = obstore.head(self._store, key)["size"]
        if stored != self._length:
            raise Unavailable(f"The object store kept {stored} of {self._length} bytes; send them again.")

    def commit(self) -> None:
        if self.sha256 is None:
            raise RuntimeError("commit before finish")
        with _translated():
            if self._writer is None:
                obstore.put(self._store, _key(self.sha256), bytes(self._first), use_multipart=False)
                self._require_whole(_key(self.sha256))
                return
            obstore.put(self._store, _claim(self.sha256, self._token), b"")
            self._writer = None
            for token in _tokens(self._store, self.sha256):
                if token > self._token:  # somebody may be reading those; they go in a day
                    obstore.put(self._store, f"arriving/{token}", self.sha256.encode())
            _remove(self._store, f"arriving/{self._token}")

    def cancel(self) -> None:
        """What cannot be removed now is removed as abandoned."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(BaseError, OSError):
                if not writer.closed():
                    self._seal(writer)
                _remove(self._store, f"arrived/{self._token}")
                _remove(self._store, f"arriving/{self._token}")


def _key(sha256: Sha256) -> str:
    return f"sha256/{sha256[:2]}/{sha256}"


def _claim(sha256: Sha256, token: str) -> str:
    return f"large/{sha256[:2]}/{sha256}/{token}"


def _tokens(store: "ObjectStore", sha256: Sha256) -> list[str]:
    """Of all arrivals that are this blob."""
    return sorted(found["path"].rpartition("/")[2] for found in _listed(store, _claim(sha256, "")))


def _places(store: "ObjectStore", sha256: Sha256) -> Iterator[str]:
    """Where its bytes may be."""
    yield _key(sha256)
    for token in _tokens(store, sha256):
        yield f"arrived/{token}"


def _disown(store: "ObjectStore", sha256: Sha256, token: str) -> None:
    """First it says no more what the bytes are, then they go."""
    obstore.put(store, f"arriving/{token}", sha256.encode())
    for name in (_claim(sha256, token), f"arrived/{token}", f"arriving/{token}"):
        _remove(store, name)


def _listed(store: "ObjectStore", prefix: str) -> Iterator["ObjectMeta"]:
    for page in obstore.list(store, prefix):
        yield from page


def _remove(store: "ObjectStore", key: str) -> None:
    with suppress(NotFoundError, FileNotFoundError):
        obstore.delete(store, key)


@contextmanager
def _translated() -> Iterator[None]:
    """Failures of the store in our words; its own may name hosts and keys."""
    try:
        yield
    except (NotFoundError, FileNotFoundError):
        raise
    except (BaseError, OSError) as error:
        raise Unavailable("The store for packages cannot be reached.", retry_after=5) from error
