"""The versions of all delegated shelves, with their lines of a snapshot ready in order."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping


class ShelfVersions(Mapping[str, int]):
    """Role -> version. Of the thousands of lines that these are in a snapshot, all but a few are those of the
    snapshot before, so they are made and put in order once."""

    def __init__(self, versions: Mapping[str, int] | None = None) -> None:
        self._versions = dict(versions or {})
        ordered = sorted((file_name(role), version) for role, version in self._versions.items())
        self._names = [name for name, _ in ordered]
        """Of their files, in the order of canonical JSON; the lines stand in the same."""
        self._lines = [_member(name, version) for name, version in ordered]

    def with_signed(self, signed: Mapping[str, int]) -> "ShelfVersions":
        """After some were signed again, or for the first time."""
        after = ShelfVersions()
        after._versions = {**self._versions, **signed}
        after._names, after._lines = self._names.copy(), self._lines.copy()
        for role, version in signed.items():
            name = file_name(role)
            place = bisect_left(after._names, name)
            old = slice(place, place + (role in self._versions))
            after._names[old], after._lines[old] = [name], [_member(name, version)]
        return after

    def changed_to(self, versions: Mapping[str, int]) -> "ShelfVersions":
        """What a later snapshot lists. None ever leaves; where one did all the same, it is gone here, too."""
        if not self.keys() <= versions.keys():
            return ShelfVersions(versions)
        return self.with_signed(dict(versions.items() - self.items()))

    def lines_beside(self, others: Mapping[str, bytes]) -> list[bytes]:
        """The members of `meta`, with those of other files in their places; `others` by file name."""
        names, lines = self._names.copy(), self._lines.copy()
        for name, line in others.items():
            place = bisect_left(names, name)
            names.insert(place, name)
            lines.insert(place, line)
        return lines

    def __getitem__(self, role: str) -> int:
        return self._versions[role]

    def __iter__(self) -> Iterator[str]:
        return iter(self._versions)

    def __len__(self) -> int:
        return len(self._versions)


def file_name(role: str) -> str:
    return f"{role}.json"


def _member(name: str, version: int) -> bytes:
    """The name of a shelf has nothing to escape."""
    return b'"%b":{"version":%d}' % (name.encode(), version)
