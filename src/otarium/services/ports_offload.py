"""The port of the copy that a CDN or a plain web server hands to devices.

Names are the paths of URLs. Whatever is put is whole and durable before it has its name. Everything raises
Unavailable when the target cannot be reached.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from otarium.domain.names import Sha256
from otarium.services.ports_blobs import OpenBlob


class OffloadTarget(Protocol):
    @property
    def swaps(self) -> bool:
        """Whether any number of plain names change at one moment; else only one name does."""
        ...

    def held(self) -> AbstractContextManager[None]:
        """Around everything that changes the target. Raises Unavailable while somebody else is at it, where
        that can be told."""
        ...

    def read(self, name: str) -> bytes | None: ...
    def put(self, name: str, raw: bytes, version: int) -> None:
        """A file of metadata under a versioned name."""
        ...

    def put_blob(self, names: Sequence[str], sha256: Sha256, blob: OpenBlob) -> None:
        """The same bytes under all these names, of which the first has the hash: what is there already
        stays. Names that the target cannot take are left out."""
        ...

    def switch(self, number: int, plain: Mapping[str, str]) -> None:
        """Plain name -> versioned name, all at one moment. Raises NotFound where a versioned name is missing,
        and Unavailable where the timestamp is not the one that was read last."""
        ...

    def names(self) -> Iterator[str]:
        """Everything that is there, but plain names."""
        ...

    def delete(self, name: str) -> None: ...
