"""The three files of a package source in their folder, and the making of the next version of them.

Import this only inside a command: cryptography comes with the extra `server` or `kms`.
"""

import json
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from otarium.cli.output import USAGE, stop, warn
from otarium.domain import canonical, publication
from otarium.domain.delegation import MEMBERS
from otarium.domain.names import SourceName
from otarium.domain.packages import Package, parse_uri, timestamp
from otarium.domain.publication import Earlier, SigningKey
from otarium.domain.roles import Dialect
from otarium.domain.sources import Fetching


@dataclass(frozen=True, slots=True)
class Files:
    """Where the source is written, and where it was written before."""

    folder: Path
    name: SourceName

    @property
    def uptane(self) -> Path:
        return self.folder / f"{self.name}.json"

    @property
    def tuf(self) -> Path:
        return self.folder / f"{self.name}.tuf.json"

    @property
    def bundle(self) -> Path:
        return self.folder / f"add-{self.name}.json"

    def earlier(self) -> Earlier:
        """The newer of the two lists. Raises Invalid."""
        found = [
            publication.earlier(path.read_bytes(), self.name, dialect, str(path))
            for path, dialect in ((self.uptane, Dialect.UPTANE), (self.tuf, Dialect.TUF))
            if path.exists()
        ]
        return max(found, key=lambda one: one.version, default=Earlier())

    def write(self, contents: Mapping[Path, bytes]) -> None:
        """Nothing gets its name before everything is on disk, so that a full disk changes nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            staged = {path: path.with_name(f".{path.name}.{secrets.token_hex(4)}") for path in contents}
            for path, temporary in staged.items():
                stack.callback(temporary.unlink, missing_ok=True)
                with temporary.open("xb") as file:
                    file.write(contents[path])
                    file.flush()
                    os.fsync(file.fileno())
            for path, temporary in staged.items():
                temporary.replace(path)


@dataclass(frozen=True, slots=True)
class Terms:
    """Whom others shall trust, for what (None: for the names in the list), and for how long."""

    keys: Sequence[SigningKey]
    threshold: int | None
    paths: Sequence[str] | None
    fetching: Fetching
    version: int | None
    lifetime: int


def fetching(name: SourceName, url: str, tuf_url: str | None, friendly_name: str | None) -> Fetching:
    """A URL that ends with a slash is a folder; the TUF list is beside the other. Raises Invalid."""
    url = f"{url}{name}.json" if url.endswith("/") else url
    if tuf_url is None and urlsplit(url).query:
        stop("--fetch-url has a query, so nothing can be beside it: give --tuf-fetch-url as well", USAGE)
    if url.startswith("http://"):
        warn(f"{url} is not https: others can take the list only if they allow that for this source")
    return Fetching(
        uri=parse_uri(url),
        tuf_uri=parse_uri(tuf_url or urljoin(url, f"{name}.tuf.json")),
        friendly_name=friendly_name or name,
        insecure=True,
    )


def read_list(path: Path) -> Any:
    """Raises Invalid, OSError."""
    return canonical.parse(path.read_bytes(), str(path), max_members=MEMBERS)


def publish(files: Files, stated: object, terms: Terms) -> dict[str, Any]:
    """Signs and writes the next version; returns what there is to say about it. Raises Refusal, OSError."""
    now, before = int(time.time()), files.earlier()
    packages = publication.parse_packages(stated, before, now)
    version = publication.next_version(terms.version, before.version)
    bundle = publication.bundle(
        files.name,
        [one.key for one in terms.keys],
        terms.threshold or len(terms.keys),
        terms.paths or publication.derived_paths(packages),
        terms.fetching,
    )
    made = publication.publish(bundle, terms.keys, packages, version, now + terms.lifetime, now)
    _warn(files, packages, bundle)
    lists = {files.tuf: made.tuf} if made.uptane is None else {files.uptane: made.uptane, files.tuf: made.tuf}
    files.write(lists | {files.bundle: json.dumps(bundle, indent=2).encode() + b"\n"})
    return {
        "name": files.name,
        "version": version,
        "packages": len(packages),
        "expires": timestamp(made.expires),
        "uptane": None if made.uptane is None else str(files.uptane),
        "tuf": str(files.tuf),
        "bundle": str(files.bundle),
        "keyids": bundle["delegationMetadata"]["keyids"],
        "threshold": bundle["delegationMetadata"]["threshold"],
        "paths": bundle["delegationMetadata"]["paths"],
        "fetchUrl": bundle["fetchUrl"],
        "tufFetchUrl": bundle.get("tufFetchUrl"),
    }


def _warn(files: Files, packages: Sequence[Package], bundle: Mapping[str, Any]) -> None:
    bare = [package.id for package in packages if not package.hardware_ids]
    if bare:
        warn(f"{len(bare)} packages have no hardware ids, so no device would install them: {bare[0]}, ...")
    if "tufFetchUrl" not in bundle and files.uptane.exists():
        warn(f"{files.uptane} stays as it was and will expire: an ECDSA key signs for TUF clients only")
    changed = _changed(files.bundle, bundle["delegationMetadata"])
    if changed:
        warn(
            f"{' and '.join(changed)} changed: whoever imported {files.bundle.name} before may refuse the "
            "new list until they import it again"
        )


def _changed(path: Path, metadata: Mapping[str, Any]) -> list[str]:
    """What a repository that imported the bundle of last time does not know yet."""
    try:
        before = json.loads(path.read_bytes())["delegationMetadata"]
        return [name for name in ("keyids", "paths", "threshold") if before[name] != metadata[name]]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []
