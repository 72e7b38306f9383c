"""Blobs in an object store (S3, Google Cloud Storage, Azure): `sha256/ab/<hash>`, staged under `staging/`.

Bytes are hashed while they stream in parts; S3 checks the sha256 of every part as it arrives. Once the
store says that the object is whole, with the length that was sent, it is copied to its hash inside of the
store; only then may a transaction list it. Objects are private: devices get them through this server, or
by links that expire.
"""

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import from_url

from otarium.domain.errors import Unavailable
from otarium.domain.names import Sha256
from otarium.services.ports_blobs import UNLIMITED

if TYPE_CHECKING:
    from obstore import WritableFile
    from obstore.store import ObjectStore

PART_BYTES = 5 * 1024 * 1024
"""The smallest part that S3 takes: what an upload holds in memory is a few of them."""
_PARTS_AT_ONCE = 2
_ABANDONED = timedelta(hours=24)
_LINK = timedelta(minutes=15)


class ObjectBlobStore:
    """Safe for any number of threads, processes and machines."""

    def __init__(self, url: str, *, links: bool = False, **options: Any) -> None:
        """`links`: devices are sent to the store by links of 15 minutes. Credentials and endpoint come from
        the environment, as the store's own tools read them."""
        config: Any = {"checksum_algorithm": "sha256"} if url.startswith("s3://") else None
        self._store = from_url(url, config=config, **options)
        self._links = links

    def prepare(self) -> None:
        """Nothing to make; leftovers may belong to other replicas."""

    def clear_abandoned(self) -> None:
        """Remove what was staged a day ago by somebody who died."""
        before = datetime.now(UTC) - _ABANDONED
        with _translated():
            for page in obstore.list(self._store, "staging/"):
                for found in page:
                    if found["last_modified"] < before:
                        obstore.delete(self._store, found["path"])

    def stage(self) -> "StagedObject":
        return StagedObject(self._store, f"staging/{secrets.token_hex(16)}")

    def exists(self, sha256: Sha256) -> bool:
        return self._length(sha256) is not None

    def _length(self, sha256: Sha256) -> int | None:
        with _translated():
            try:
                return obstore.head(self._store, _key(sha256))["size"]
            except (NotFoundError, FileNotFoundError):
                return None

    def open(self, sha256: Sha256) -> "StoredObject | None":
        length = self._length(sha256)
        return None if length is None else StoredObject(self._store, _key(sha256), length)

    def link_to(self, sha256: Sha256) -> str | None:
        if not self._links:
            return None
        with _translated():
            store: Any = self._store  # those that cannot sign are refused by the settings
            return str(obstore.sign(store, "GET", _key(sha256), _LINK))

    def delete(self, sha256: Sha256) -> None:
        with _translated(), suppress(NotFoundError, FileNotFoundError):
            obstore.delete(self._store, _key(sha256))

    def free_bytes(self) -> int:
        return UNLIMITED

    def orphans(self, known: frozenset[Sha256], before: float) -> Iterator[Sha256]:
        with _translated():
            for page in obstore.list(self._store, "sha256/"):
                for found in page:
                    name = found["path"].rpartition("/")[2]
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

    def __init__(self, store: "ObjectStore", key: str) -> None:
        self._store = store
        self._key = key
        self._writer: WritableFile = obstore.open_writer(
            store, key, buffer_size=PART_BYTES, max_concurrency=_PARTS_AT_ONCE
        )
        self._hash = hashlib.sha256()
        self._length = 0
        self._staged = True
        self.sha256: Sha256 | None = None

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        self._length += len(data)
        with _translated():
            self._writer.write(data)

    def finish(self) -> tuple[Sha256, int]:
        with _translated():
            self._writer.close()
            stored = obstore.head(self._store, self._key)["size"]
        if stored != self._length:
            raise Unavailable(f"The object store kept {stored} of {self._length} bytes; send them again.")
        self.sha256 = Sha256(self._hash.hexdigest())
        return self.sha256, self._length

    def commit(self) -> None:
        if self.sha256 is None:
            raise RuntimeError("commit before finish")
        with _translated():
            obstore.copy(self._store, self._key, _key(self.sha256))
        self.cancel()

    def cancel(self) -> None:
        """What cannot be removed now is removed as abandoned."""
        if self._staged:
            self._staged = False
            with suppress(BaseError, OSError):
                if not self._writer.closed():
                    self._writer.close()
                obstore.delete(self._store, self._key)


def _key(sha256: Sha256) -> str:
    return f"sha256/{sha256[:2]}/{sha256}"


@contextmanager
def _translated() -> Iterator[None]:
    """Failures of the store in our words; its own may name hosts and keys."""
    try:
        yield
    except (NotFoundError, FileNotFoundError):
        raise
    except (BaseError, OSError) as error:
        raise Unavailable("The store for packages cannot be reached.", retry_after=5) from error
