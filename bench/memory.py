"""How far the memory of a server grows while something happens to it."""

import threading
from pathlib import Path

INTERVAL = 0.01


def processes_of(group: int) -> list[int]:
    """The processes of a process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:  # it ended meanwhile
            continue
        if int(text.rpartition(")")[2].split()[2]) == group:
            found.append(int(stat.parent.name))
    return found


def resident_bytes(pids: list[int]) -> int:
    """VmRSS of all of them together."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) * 1024
    return total


def proportional_bytes(pids: list[int]) -> int:
    """The same, but a page that several of them share counts once."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


class Growth:
    """`with Growth(group) as growth: ...`, then `growth.bytes`: the highest sample above the first."""

    def __init__(self, group: int) -> None:
        self._pids = processes_of(group)
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample)
        self._before = self._highest = 0

    @property
    def bytes(self) -> int:
        return self._highest - self._before

    def __enter__(self) -> "Growth":
        self._before = self._highest = resident_bytes(self._pids)
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._sampler.join()

    def _sample(self) -> None:
        while not self._done.wait(INTERVAL):
            self._highest = max(self._highest, resident_bytes(self._pids))
