"""Packages: what was uploaded or referenced, how it may be edited, and the entry that is signed for it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum, StrEnum
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import urlsplit

from otarium.domain import canonical
from otarium.domain.errors import Invalid
from otarium.domain.names import (
    OWN_SOURCE,
    HardwareId,
    PackageId,
    PackageName,
    PackageVersion,
    Sha256,
    SourceName,
)

RESERVED_CUSTOM = frozenset(
    {
        "name",
        "version",
        "hardwareIds",
        "targetFormat",
        "uri",
        "createdAt",
        "updatedAt",
        "cliUploaded",
        "ecuIdentifiers",
    }
)
"""Members of the signed `custom` that are ours or the Director's; never a publisher's own."""

META_BYTES = 16 * 1024
COMMENT_BYTES = 64 * 1024
URI_BYTES = 2 * 1024


class TargetFormat(StrEnum):
    BINARY = "BINARY"
    OSTREE = "OSTREE"

    @classmethod
    def parse(cls, raw: str) -> "TargetFormat":
        """Either case is taken. Raises Invalid."""
        try:
            return cls(raw.upper())
        except ValueError:
            raise Invalid(f"targetFormat {raw[:40]!a} is unknown; use BINARY or OSTREE.") from None


def parse_uri(raw: str) -> str:
    """An http(s) URI of at most 2 KiB without credentials. Raises Invalid."""
    try:
        parts = urlsplit(raw)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        raise Invalid(f"uri {raw[:80]!a} is not a URI.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise Invalid(f"uri {raw[:80]!a} must start with http:// or https:// and name a host.")
    if parts.username is not None or parts.password is not None:
        raise Invalid("uri carries a user name or password, which every device would see; leave it out.")
    if len(raw.encode()) > URI_BYTES:
        raise Invalid(f"uri has {len(raw.encode())} bytes, at most {URI_BYTES} are allowed.")
    if not raw.isascii() or any(char <= " " or char == "\x7f" for char in raw):
        raise Invalid(f"uri {raw[:80]!a} contains characters that must be percent-encoded.")
    return raw


def parse_meta(value: object) -> Mapping[str, Any] | None:
    """proprietaryMeta as it will be signed: a JSON object (already read strictly). Raises Invalid."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise Invalid("proprietaryMeta must be a JSON object, or null to clear it.")
    for key in value:
        if key in RESERVED_CUSTOM:
            raise Invalid(f"proprietaryMeta may not contain {key!r}: that member is reserved.")
    _check_keys(value)
    size = len(canonical.tuf(value))
    if size > META_BYTES:
        raise Invalid(f"proprietaryMeta has {size} bytes as JSON, at most {META_BYTES} are allowed.")
    return value


def _check_keys(value: object) -> None:
    """tuf-js orders keys by UTF-16 code units, so keys above U+FFFF could break a signature."""
    if isinstance(value, dict):
        for key, member in value.items():
            if any(ord(char) > 0xFFFF for char in key):
                raise Invalid(f"proprietaryMeta key {key[:40]!a} contains a character above U+FFFF.")
            _check_keys(member)
    elif isinstance(value, list):
        for member in value:
            _check_keys(member)


def parse_comment(raw: str) -> str:
    size = len(raw.encode())
    if size > COMMENT_BYTES:
        raise Invalid(f"comment has {size} bytes of UTF-8, at most {COMMENT_BYTES} are allowed.")
    return raw


@lru_cache(maxsize=1024)
def timestamp(seconds: int) -> str:
    """Seconds since 1970 as `YYYY-MM-DDTHH:MM:SSZ`, the only form that every client accepts."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Entry(canonical.Forms):
    """The bytes `"id":{...}` of one target."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Content:
    """What identifies an upload: bytes, format and hardware ids. PATCH never changes it."""

    format: TargetFormat
    sha256: Sha256
    length: int
    hardware_ids: frozenset[HardwareId]
    location: str | None = None
    """The URI where the bytes live; None when they are a blob of this repository."""


@dataclass(frozen=True, slots=True)
class NewPackage:
    """A package about to be added; `content` says what it is, the order of hardware ids is kept."""

    name: PackageName
    version: PackageVersion
    hardware_ids: tuple[HardwareId, ...]
    content: Content

    @property
    def id(self) -> PackageId:
        return PackageId.of(self.name, self.version)


@dataclass(frozen=True, slots=True)
class Package:
    """A package of this repository or of another source. Times are whole seconds since 1970."""

    id: PackageId
    name: PackageName
    version: PackageVersion
    content: Content
    hardware_ids: tuple[HardwareId, ...]
    uri: str | None
    comment: str | None
    meta: Mapping[str, Any] | None
    created_at: int
    updated_at: int
    revision: int
    """Rises with every edit; unique over all packages ever, so it makes an ETag. 0 for external ones."""
    source: SourceName = OWN_SOURCE

    @property
    def etag(self) -> str:
        return f'"{self.revision}"'

    @property
    def has_sbom(self) -> bool:
        """Whether `supplyChainInfo` names at least one document by `url`, as publishers write it."""
        info = (self.meta or {}).get("supplyChainInfo")
        documents = info.values() if isinstance(info, dict) else ()
        return any(isinstance(one, dict) and isinstance(one.get("url"), str) for one in documents)

    def entry(self) -> Entry:
        """The signed entry. `uri` is absent rather than null when devices fetch from the repository."""
        custom: dict[str, Any] = dict(self.meta or {})
        custom |= {
            "name": self.name,
            "version": self.version,
            "hardwareIds": list(self.hardware_ids),
            "targetFormat": self.content.format.value,
            "createdAt": timestamp(self.created_at),
            "updatedAt": timestamp(self.updated_at),
        }
        if self.uri is not None:
            custom["uri"] = self.uri
        target = {
            str(self.id): {
                "custom": custom,
                "hashes": {"sha256": self.content.sha256},
                "length": self.content.length,
            }
        }
        return Entry(*canonical.members(target))


@dataclass(frozen=True, slots=True)
class Deleted:
    """What remains of a deleted package, for ever: the id may come back with the same content only."""

    id: PackageId
    content: Content
    deleted_at: int


class Keep(Enum):
    """The one value that is not a value."""

    KEEP = "keep"


KEEP = Keep.KEEP


@dataclass(frozen=True, slots=True)
class PackageEdit:
    """What PATCH asks for; KEEP leaves a member alone, None clears it."""

    hardware_ids: tuple[HardwareId, ...] | Keep = KEEP
    uri: str | Keep | None = KEEP
    comment: str | Keep | None = KEEP
    meta: Mapping[str, Any] | Keep | None = KEEP

    def applied_to(self, package: Package, now: int, revision: int) -> Package:
        """The package after the edit; the same object when nothing changes.

        `updated_at` is signed, so it moves only when another signed member does.
        """

        def pick(asked: Any, current: Any) -> Any:
            return current if asked is KEEP else asked

        edited = replace(
            package,
            hardware_ids=pick(self.hardware_ids, package.hardware_ids),
            uri=pick(self.uri, package.uri),
            comment=pick(self.comment, package.comment),
            meta=pick(self.meta, package.meta),
        )
        # By signed bytes, since Python takes 1 and true for equal. {} and null sign the same bytes.
        signed_change = edited.entry() != package.entry()
        if not signed_change and (edited.comment, edited.meta) == (package.comment, package.meta):
            return package
        return replace(edited, revision=revision, updated_at=now if signed_change else package.updated_at)


SortKey = Literal["CreatedAt", "Filename"]
MAX_LIMIT = 2**63 - 1


@dataclass(frozen=True, slots=True)
class PackageQuery:
    """A page of packages. Several values of one filter mean OR, different filters AND; empty is no filter."""

    offset: int = 0
    limit: int = 50
    id_contains: str | None = None
    name_contains: str | None = None
    sources: tuple[SourceName, ...] = ()
    name: str | None = None
    version: str | None = None
    hardware_ids: tuple[str, ...] = ()
    hashes: tuple[Sha256, ...] = ()
    ids: tuple[PackageId, ...] = ()
    has_sbom: bool | None = None
    external: bool = False
    """Only packages of other sources."""
    sort_by: SortKey = "CreatedAt"
    ascending: bool = False


def folded(text: str) -> str:
    """The form in which substrings are compared: case-insensitive in every script."""
    return text.casefold()
