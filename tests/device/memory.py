"""How far the memory of a server grows while something happens to it."""

import contextlib
import os
import re
import threading
from pathlib import Path

from harness import Server

MIB = 1024 * 1024


class Memory:
    """The highest growth of a server's processes while it runs."""

    def __init__(self, server: Server) -> None:
        self._group, self._done = server.process.pid, threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.growth = 0

    def __enter__(self) -> "Memory":
        self._members = [status for status in Path("/proc").glob("[0-9]*/status") if self._is_member(status)]
        self._before = self._resident()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _is_member(self, status: Path) -> bool:
        with contextlib.suppress(OSError):  # it ended meanwhile
            return os.getpgid(int(status.parent.name)) == self._group
        return False

    def _sample(self) -> None:
        while not self._done.wait(0.01):
            self.growth = max(self.growth, self._resident() - self._before)

    def _resident(self) -> int:
        found = (re.search(r"VmRSS:\s+(\d+)", status.read_text()) for status in self._members)
        return sum(int(match[1]) for match in found) * 1024
