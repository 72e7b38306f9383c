"""What the copy for a CDN or a plain web server holds, and by which names: the paths of the URLs.

Versioned and hashed names never change their bytes. The plain names, which do change, are links to
versioned ones.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from otarium.domain.names import Sha256
from otarium.domain.roles import ROLE_NAMES, Dialect

COMPONENT_BYTES = 255
"""Of a path on any file system; longer ones are left to the server."""
TIMESTAMP = f"{Dialect.TUF}/timestamp.json"
"""What TUF clients ask for first; all else they ask for by names that never change their bytes."""

_ROLE = re.compile(r"(?P<dialect>repo|tuf)/(?P<version>[1-9]\d{0,9})\.(?P<role>[^/]+)\.json")
_HASHED = re.compile(r"tuf/targets/(?:.*/)?(?P<hash>[0-9a-f]{64})(?:\..*)?", re.DOTALL)
_PLAIN = re.compile(r"repo/targets/(?P<id>.+)", re.DOTALL)


class Kind(StrEnum):
    ROLE = "role"
    HASHED = "hashed"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Place:
    """A name taken apart. `role` and `version` are of a ROLE, `key` is the hash or the package's id."""

    kind: Kind
    key: str = ""
    role: str = ""
    dialect: Dialect = Dialect.TUF
    version: int = 0


@dataclass(frozen=True, slots=True)
class Listed:
    """What a role file says of a package, as far as its bytes are concerned."""

    id: str
    sha256: Sha256
    length: int
    elsewhere: bool
    """It names a place of its own, so no bytes need be here."""


def role_name(dialect: Dialect, role: str, version: int) -> str:
    return f"{dialect}/{version}.{role}.json"


def plain_name(dialect: Dialect, role: str) -> str:
    """Where devices that ask for no versions find a role."""
    return f"{dialect}/{role}.json" if role in ROLE_NAMES else f"{dialect}/delegations/{role}.json"


def blob_names(package: Listed) -> list[str]:
    """By which names devices ask for a package: TUF's first, which has its hash. Clients bend a `%` in a
    name, each in its way, and no file system takes a long one: then the hash alone is a name, too."""
    head, slash, base = package.id.rpartition("/")
    hashed = f"tuf/targets/{head}{slash}{package.sha256}.{base}"
    names = [hashed, f"repo/targets/{package.id}"]
    if "%" in package.id or not fits(hashed):
        names.insert(0, f"tuf/targets/{package.sha256}")
    return names


def fits(name: str) -> bool:
    """Whether every file system takes it, and it leads nowhere else."""
    parts = name.split("/")
    return "\0" not in name and all(
        part not in ("", ".", "..") and len(part.encode()) <= COMPONENT_BYTES for part in parts
    )


def place_of(name: str) -> Place | None:
    """None for a name that is not one of ours."""
    if match := _ROLE.fullmatch(name):
        return Place(Kind.ROLE, "", match["role"], Dialect(match["dialect"]), int(match["version"]))
    if match := _HASHED.fullmatch(name):
        return Place(Kind.HASHED, match["hash"])
    if match := _PLAIN.fullmatch(name):
        return Place(Kind.PLAIN, match["id"])
    return None


def packages_of(raw: bytes) -> Iterator[Listed]:
    """The packages of one of our own role files that have bytes."""
    for package_id, target in json.loads(raw)["signed"]["targets"].items():
        custom = target.get("custom", {})
        if custom.get("targetFormat") != "OSTREE":
            sha256 = Sha256(target["hashes"]["sha256"])
            yield Listed(package_id, sha256, target["length"], "uri" in custom)


def versions_of(raw: bytes) -> Mapping[str, int]:
    """Role -> version, as a snapshot or timestamp lists them."""
    meta = json.loads(raw)["signed"]["meta"]
    return {name.removesuffix(".json"): line["version"] for name, line in meta.items()}


def version_of(raw: bytes) -> int:
    return int(json.loads(raw)["signed"]["version"])
