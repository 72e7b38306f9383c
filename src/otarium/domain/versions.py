"""The versions of all delegated shelves, with their lines of a snapshot ready in order."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping


class ShelfVersions(Mapping[str, int]):
    """Role -> version. Of the thousands of lines that these are in a snapshot, all but a few are those of the
    snapshot before, so they are made and put in order once."""

    def __init__(self, versions: Mapping[str, int] | None = None) -> None:
        self._versions = dict(versions or {})
        ordered = sorted((file_name(role), version) for role, version in self._versions.items())
        self.names = [name for name, _ in ordered]
        """Of their files, in the order of canonical JSON; the lines stand in the same. Not to be changed."""
        self.lines = [_line(name, version) for name, version in ordered]

    def with_signed(self, signed: Mapping[str, int]) -> "ShelfVersions":
        """After some were signed again, or for the first time."""
        after = ShelfVersions()
        after._versions = {**self._versions, **signed}
        after.names, after.lines = self.names.copy(), self.lines.copy()
        for role, version in signed.items():
            name = file_name(role)
            place = bisect_left(after.names, name)
            old = slice(place, place + (role in self._versions))
            after.names[old], after.lines[old] = [name], [_line(name, version)]
        return after

    def __getitem__(self, role: str) -> int:
        return self._versions[role]

    def __iter__(self) -> Iterator[str]:
        return iter(self._versions)

    def __len__(self) -> int:
        return len(self._versions)


def file_name(role: str) -> str:
    return f"{role}.json"


def _line(name: str, version: int) -> bytes:
    """The name of a shelf has nothing to escape."""
    return b'"%b":{"version":%d}' % (name.encode(), version)
