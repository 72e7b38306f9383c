"""Where a benchmark stands: a directory, servers in it, and a repository seeded once per run.

Servers come from the tests' harness: the same start and stop as everywhere else, on loopback.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import seeding
from harness import Server, running_server

PACKAGES = 10_000


class MissingTool(Exception):
    """Something outside Python that has to be installed first."""


def require_tools(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        raise MissingTool(f"{' and '.join(missing)} not found: apt-get install nginx-light wrk")


class Ground:
    """`directory` is the running benchmark's own; it has to be on the file system that is to be measured, not
    in memory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._all = directory
        self._seeded: Path | None = None

    def begin(self, name: str) -> None:
        self.directory = self._all / name
        self.directory.mkdir()

    @contextmanager
    def server(self, name: str, workers: int = 1, **options: str) -> Iterator[Server]:
        """A server on an empty repository, removed afterwards."""
        data = self.directory / name
        with running_server(data, env=options, workers=workers) as server:
            yield server
        shutil.rmtree(data)

    @contextmanager
    def seeded_server(self, name: str) -> Iterator[Server]:
        """The same on a copy of the repository with 10,000 packages."""
        shutil.copytree(self._seed(), self.directory / name)
        with self.server(name) as server:
            yield server

    def _seed(self) -> Path:
        if self._seeded is None:
            seeded = self._all / "seeded"
            with running_server(seeded, workers=1) as server:
                seeding.seed(server, PACKAGES)
            self._seeded = seeded
        return self._seeded
