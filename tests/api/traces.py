"""What a request leaves behind: the list, the signed metadata of both dialects, the bytes on disk."""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.calls import EVERYTHING, page
from harness import Server, http

ROLES = ("timestamp", "snapshot", "targets")
SIGNED_OF_ITS_OWN = {"name", "version", "hardwareIds", "targetFormat", "uri", "createdAt", "updatedAt"}


@dataclass(frozen=True)
class Traces:
    packages: dict[str, Any]  # by id, as the list shows them
    signed: dict[str, bytes]  # /repo/targets.json and so on
    blobs: frozenset[str]
    staged: frozenset[str]

    def targets(self, dialect: str) -> Any:
        return json.loads(self.signed[f"/{dialect}/targets.json"])["signed"]["targets"]


def traces(server: Server) -> Traces:
    values = page(server, f"limit={EVERYTHING}&sortBy=Filename&sortDirection=Asc")["values"]
    files = [f"/{dialect}/{role}.json" for dialect in ("repo", "tuf") for role in ROLES]
    return Traces(
        packages={one["packageId"]: one for one in values},
        signed={file: http(server, "GET", file).body for file in files},
        blobs=blobs(server),
        staged=staged(server),
    )


def blobs(server: Server) -> frozenset[str]:
    return frozenset(_blob_files(server))


def blob_path(server: Server, sha256: str) -> Path:
    return _blob_files(server)[sha256]


def _blob_files(server: Server) -> dict[str, Path]:
    """By hash, in whatever folders they stand."""
    store = server.data_dir / "blobs" / "sha256"
    return {path.name: path for path in store.rglob("*") if path.is_file()}


def staged(server: Server) -> frozenset[str]:
    return frozenset(path.name for path in (server.data_dir / "blobs" / "staging").iterdir())


def wait_until_nothing_is_staged(server: Server, seconds: float = 10) -> None:
    """After a client has left, or an upload was refused, its half of a file is removed."""
    deadline = time.monotonic() + seconds
    while staged(server):
        assert time.monotonic() < deadline, staged(server)
        time.sleep(0.02)


@contextlib.contextmanager
def nothing_changes(server: Server) -> Iterator[None]:
    """Whatever happens inside leaves every package, every signed byte and every blob as it was."""
    before = traces(server)
    yield
    wait_until_nothing_is_staged(server)
    assert traces(server) == before


def agreed(server: Server) -> Traces:
    """The traces, after a check that the list, both signed files and the disk tell the same."""
    found = traces(server)
    for dialect in ("repo", "tuf"):
        entries = found.targets(dialect)
        assert set(entries) == set(found.packages)
        for package_id, listed in found.packages.items():
            _check_entry(entries[package_id], listed)
    local = {one["hashes"]["sha256"] for one in found.packages.values() if one["uri"] is None}
    assert local <= found.blobs
    assert not found.staged
    return found


def _check_entry(entry: Any, listed: Any) -> None:
    custom = entry["custom"]
    assert (entry["hashes"], entry["length"]) == (listed["hashes"], listed["size"])
    assert (custom["name"], custom["version"]) == (listed["name"], listed["version"])
    assert (custom["hardwareIds"], custom["targetFormat"]) == (listed["hardwareIds"], listed["pkgType"])
    assert (custom["createdAt"], custom.get("uri")) == (listed["createdAt"], listed["uri"])
    extra = {key: value for key, value in custom.items() if key not in SIGNED_OF_ITS_OWN}
    assert extra == (listed["proprietaryMeta"] or {})


def release_of(server: Server) -> int:
    """The version of timestamp.json: it rises with every release."""
    version = json.loads(http(server, "GET", "/repo/timestamp.json").body)["signed"]["version"]
    assert isinstance(version, int)
    return version
