"""The copy for devices in a bucket (S3, Google Cloud Storage, Azure) that a CDN serves.

TUF clients find everything; /repo has its versioned names and packages there, for its plain names have no
one moment at which they all change.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, PreconditionError
from obstore.store import from_url

from otarium.domain.errors import Unavailable
from otarium.domain.names import Sha256
from otarium.domain.offloaded import TIMESTAMP
from otarium.services.ports_blobs import OpenBlob

_PART_BYTES = 5 * 1024 * 1024
_PARTS_AT_ONCE = 2
_MOST_COPIED = 1024**3
"""Bytes. A store copies within the answer to one request, S3 no more than 5 GiB."""
_SHA256 = "sha256"
"""An attribute of our own of packages, which copies have too."""
_IMMUTABLE = "public, max-age=31536000, immutable"


def _attributes(kind: str, cache: str) -> Any:
    return {"Content-Type": kind, "Cache-Control": cache}


class ObjectOffload:
    swaps = False

    def __init__(self, url: str, **options: Any) -> None:
        """Credentials and endpoint come from the environment, as the store's own tools read them."""
        self._store = from_url(url, **options)
        self._mark: dict[str, str] | None = None
        """What the store calls the timestamp that was read last: the next one replaces no other."""

    def held(self) -> AbstractContextManager[None]:
        return nullcontext()

    def read(self, name: str) -> bytes | None:
        with _translated():
            try:
                found = obstore.get(self._store, name)
                raw = bytes(found.bytes())
            except (NotFoundError, FileNotFoundError):
                found, raw = None, None
        if name == TIMESTAMP:
            stated = {key: found.meta[key] for key in ("e_tag", "version")} if found else {}
            self._mark = {key: value for key, value in stated.items() if value}
        return raw

    def put(self, name: str, raw: bytes, version: int) -> None:
        with _translated():
            obstore.put(self._store, name, raw, attributes=_attributes("application/json", _IMMUTABLE))

    def put_blob(self, names: Sequence[str], sha256: Sha256, blob: OpenBlob) -> None:
        made: str | None = None
        with _translated():
            for name in names:
                if self._sha256(name) != sha256:
                    if made and blob.length <= _MOST_COPIED:
                        obstore.copy(self._store, made, name)
                    else:
                        self._put_blob(name, sha256, blob)
                made = name

    def _sha256(self, name: str) -> str | None:
        """As it was stated with the bytes; a name without a hash may have had others of the same length."""
        try:
            return obstore.get(self._store, name, options={"head": True}).attributes.get(_SHA256)
        except (NotFoundError, FileNotFoundError):
            return None

    def _put_blob(self, name: str, sha256: Sha256, blob: OpenBlob) -> None:
        obstore.put(
            self._store,
            name,
            _parts(blob),
            attributes={**_attributes("application/octet-stream", _IMMUTABLE), _SHA256: sha256},
            chunk_size=_PART_BYTES,
            max_concurrency=_PARTS_AT_ONCE,
        )

    def switch(self, number: int, plain: Mapping[str, str]) -> None:
        ((name, versioned),) = plain.items()
        attributes = _attributes("application/json", "no-cache")
        mode: Any = self._mark or "create"
        with _translated():
            raw = bytes(obstore.get(self._store, versioned).bytes())
            try:
                obstore.put(self._store, name, raw, attributes=attributes, mode=mode)
            except (AlreadyExistsError, PreconditionError):
                raise Unavailable("Another process has changed the offload bucket meanwhile.") from None

    def names(self) -> Iterator[str]:
        with _translated():
            for top in ("repo/", "tuf/"):
                for page in obstore.list(self._store, top):
                    for found in page:
                        if found["path"] != TIMESTAMP:
                            yield found["path"]

    def delete(self, name: str) -> None:
        with _translated(), suppress(NotFoundError, FileNotFoundError):
            obstore.delete(self._store, name)


def _parts(blob: OpenBlob) -> Iterator[bytes]:
    position = 0
    while data := blob.read_at(position, _PART_BYTES):
        position += len(data)
        yield data


@contextmanager
def _translated() -> Iterator[None]:
    """Failures of the store in our words; its own may name hosts and keys."""
    try:
        yield
    except (BaseError, OSError) as error:
        raise Unavailable("The offload bucket cannot be reached.", retry_after=5) from error
