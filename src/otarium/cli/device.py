"""A device for one download: python-tuf's client, fed over HTTP and asked afterwards what it verified.

Import this only inside a command: python-tuf comes with the extra `device`.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, unquote

import urllib3
from tuf.api.exceptions import DownloadError, DownloadHTTPError, DownloadLengthMismatchError
from tuf.api.metadata import Metadata, TargetFile  # type: ignore[attr-defined] # public, but not marked so
from tuf.ngclient.fetcher import FetcherInterface
from tuf.ngclient.updater import Updater

from otarium.cli.connect import proxy_for

ROOT_LIMIT = 512_000
"""Bytes; what python-tuf allows for a root."""

BLOCK = 256 * 1024
TOP_LEVEL = ("root", "timestamp", "snapshot", "targets")

Progress = Callable[[int, int], Any] | None


@dataclass(frozen=True)
class Role:
    """One verified metadata file."""

    name: str
    version: int
    expires: datetime


class Device:
    """Keeps its metadata in `memory`, an empty directory; `near` is where downloads are staged."""

    def __init__(self, server: str, token: str | None, memory: Path, near: Path, progress: Progress) -> None:
        self._metadata_url = f"{server.rstrip('/')}/tuf/"
        self._targets_url = f"{self._metadata_url}targets/"
        self._memory = memory
        self._fetcher = Fetcher(self._targets_url, token, near, progress)
        self._updater: Updater | None = None

    def first_root(self) -> bytes:
        """The root that the server calls its first, unverified. Raises DownloadError."""
        return self._fetcher.download_bytes(f"{self._metadata_url}1.root.json", ROOT_LIMIT)

    def find(self, package_id: str, root: bytes) -> TargetFile | None:
        """What the signed metadata says about the package. Raises RepositoryError, DownloadError."""
        self._updater = Updater(
            str(self._memory),
            self._metadata_url,
            target_base_url=self._targets_url,
            fetcher=self._fetcher,
            bootstrap=root,
        )
        self._updater.refresh()
        return self._updater.get_targetinfo(package_id)

    def download(self, target: TargetFile, path: Path) -> None:
        """Writes the bytes once length and hashes fit. Raises RepositoryError, DownloadError, OSError."""
        if self._updater is None:
            raise RuntimeError("find comes before download")
        self._updater.download_target(target, str(path))

    def roles(self) -> list[Role]:
        """All metadata that was verified so far, in the order of trust."""
        names = [unquote(path.stem) for path in sorted(self._memory.glob("*.json"))]
        names = [*TOP_LEVEL, *(name for name in names if name not in TOP_LEVEL)]
        return [self._role(name) for name in names]

    def _role(self, name: str) -> Role:
        signed = Metadata[Any].from_file(str(self._memory / f"{quote(name, '')}.json")).signed
        return Role(name, signed.version, signed.expires)


class Fetcher(FetcherInterface):
    """Fetches with a bearer token, stages targets beside their destination, and reports their progress."""

    def __init__(self, targets_url: str, token: str | None, near: Path, progress: Progress) -> None:
        self._targets_url = targets_url
        self._near = near
        self._progress = progress
        self._headers = {"User-Agent": "Otarium/fetch"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        proxy = proxy_for(targets_url)
        self._pool = urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager()

    def _fetch(self, url: str) -> Iterator[bytes]:
        if url.startswith(self._targets_url):
            # python-tuf leaves the name as it is; a `%2F` in a name would arrive as a slash.
            url = self._targets_url + quote(url.removeprefix(self._targets_url))
        try:
            response = self._pool.request(
                "GET",
                url,
                headers=self._headers,
                preload_content=False,
                timeout=urllib3.Timeout(connect=10.0, read=60.0),
            )
        except urllib3.exceptions.HTTPError as error:
            raise DownloadError(f"no answer from {url}: {error}") from error
        if response.status >= 400:
            raise DownloadHTTPError(f"{url}: HTTP {response.status}{_message(response)}", response.status)
        return _blocks(response, url)

    @contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """As in the base class, which would stage gigabytes in the temporary directory, often a small one."""
        if not url.startswith(self._targets_url):
            with super().download_file(url, max_length) as file:
                yield file
            return
        with tempfile.TemporaryFile(dir=self._near) as file:
            received = 0
            for block in self.fetch(url):
                received += len(block)
                if received > max_length:
                    raise DownloadLengthMismatchError(f"{url} has more than the signed {max_length} bytes")
                file.write(block)
                if self._progress is not None:
                    self._progress(received, max_length)
            file.seek(0)
            yield file


def _blocks(response: urllib3.BaseHTTPResponse, url: str) -> Iterator[bytes]:
    try:
        yield from response.stream(BLOCK)
    except urllib3.exceptions.HTTPError as error:
        raise DownloadError(f"{url} broke off: {error}") from error
    finally:
        response.release_conn()


def _message(response: urllib3.BaseHTTPResponse) -> str:
    """What the server says about it, if that is one of its error documents."""
    try:
        return f" ({json.loads(response.read(10_000))['msg']})"
    except (ValueError, KeyError, TypeError, urllib3.exceptions.HTTPError):
        return ""
    finally:
        response.release_conn()
