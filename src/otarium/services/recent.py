"""What was used last of files that have versions, bounded in bytes."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

V = TypeVar("V")
_SHARE = 8
"""Of the bytes, that one in this many is for what was replaced."""


class Recent(Generic[V]):
    """One thread at a time. What was replaced is kept apart, and little of it: it is asked for during moments
    only, and what comes and goes with every release leaves holes in memory, which grows by them."""

    def __init__(self, most_bytes: int) -> None:
        self._newest: _Bounded[V] = _Bounded(most_bytes)
        self._replaced: _Bounded[V] = _Bounded(most_bytes // _SHARE)

    def get(self, name: Hashable, version: int) -> V | None:
        found = self._newest.get(name)
        if found is None or found.version != version:
            found = self._replaced.get((name, version))
        return found.value if found else None

    def put(self, name: Hashable, version: int, value: V, size: int) -> None:
        """`size` in bytes. It takes the place of what has this name and version."""
        given, newest = _Kept(version, value, size), self._newest.get(name)
        if newest is not None and newest.version > version:
            self._replaced.put((name, version), given)
            return
        self._newest.put(name, given)
        if newest is not None and newest.version < version:
            self._replaced.put((name, newest.version), newest)


class _Kept(NamedTuple, Generic[V]):
    version: int
    value: V
    size: int


class _Bounded(Generic[V]):
    """The one that was put last is always there."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes
        self._kept: OrderedDict[Hashable, _Kept[V]] = OrderedDict()

    def get(self, key: Hashable) -> _Kept[V] | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, key: Hashable, kept: _Kept[V]) -> None:
        before = self._kept.pop(key, None)
        self._left += (before.size if before else 0) - kept.size
        self._kept[key] = kept
        while self._left < 0 and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._left += dropped.size
