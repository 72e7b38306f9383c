"""The packages that another publisher's list names, as far as they can be shown.

A publisher may write anything into `custom`; whatever is unusable there is left away, and only what has no
usable name or hash is left out of lists, with a reason. What devices get are the publisher's bytes.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from otarium.domain.errors import Invalid
from otarium.domain.names import (
    HARDWARE_IDS,
    PACKAGE_ID_BYTES,
    HardwareId,
    PackageId,
    PackageName,
    PackageVersion,
    Sha256,
    SourceName,
)
from otarium.domain.packages import RESERVED_CUSTOM, Content, Package, TargetFormat, parse_uri

_NO_PLACE = "https://example.com/"
_LATEST = 253_402_300_799


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A target that devices may install but that no list can show."""

    target: str
    reason: str


def external_package(source: SourceName, name: str, target: Mapping[str, Any], now: int) -> Package | LeftOut:
    """`target` has a length and hashes; nothing is known about its `custom`."""
    try:
        sha256 = Sha256.parse(str(target["hashes"].get("sha256", "")))
    except Invalid:
        return LeftOut(name, "it has no sha256, which lists show")
    if not name or len(name.encode()) > PACKAGE_ID_BYTES or not _is_text(name):
        return LeftOut(name, f"its name has more than {PACKAGE_ID_BYTES} bytes or unusual characters")
    custom = target.get("custom")
    custom = custom if isinstance(custom, dict) else {}
    hardware_ids = _hardware_ids(custom.get("hardwareIds"))
    content = Content(_format(custom, target["length"]), sha256, target["length"], frozenset(hardware_ids))
    created = _seconds(custom.get("createdAt")) or now
    package_name, version = _name_and_version(name, custom)
    return Package(
        id=PackageId(name),
        name=package_name,
        version=version,
        content=content,
        hardware_ids=hardware_ids,
        uri=_uri(custom.get("uri")),
        comment=None,
        meta={key: value for key, value in custom.items() if key not in RESERVED_CUSTOM} or None,
        created_at=created,
        updated_at=_seconds(custom.get("updatedAt")) or created,
        revision=0,
        source=source,
    )


def _is_text(text: object) -> bool:
    return (
        isinstance(text, str)
        and text == unicodedata.normalize("NFC", text)
        and all(unicodedata.category(char) not in ("Cc", "Cs", "Cn", "Zl", "Zp") for char in text)
    )


def _name_and_version(target: str, custom: Mapping[str, Any]) -> tuple[PackageName, PackageVersion]:
    """What `custom` says; else the target's name, cut at its last dash."""
    name, version = custom.get("name"), custom.get("version")
    if not (name and _is_text(name)):
        head, dash, tail = target.rpartition("-")
        name, version = (head, tail) if dash and head else (target, version)
    return PackageName(name), PackageVersion(version if _is_text(version) else "")


def _format(custom: Mapping[str, Any], length: int) -> TargetFormat:
    """Absent or unknown: OSTREE if there are no bytes, as aktualizr takes it."""
    try:
        return TargetFormat.parse(str(custom.get("targetFormat", "")))
    except Invalid:
        return TargetFormat.BINARY if length else TargetFormat.OSTREE


def _hardware_ids(stated: object) -> tuple[HardwareId, ...]:
    ids: dict[HardwareId, None] = {}
    for one in stated if isinstance(stated, list) else ():
        try:
            ids[HardwareId.parse(one if isinstance(one, str) else "")] = None
        except Invalid:
            continue
    return tuple(ids)[:HARDWARE_IDS]


def _uri(stated: object) -> str | None:
    """aktualizr takes `https://example.com/`, which publishers' tools write, for no place at all."""
    try:
        return parse_uri(stated) if isinstance(stated, str) and stated != _NO_PLACE else None
    except Invalid:
        return None


def _seconds(stated: object) -> int | None:
    """RFC 3339; years that no client can show are none."""
    if not isinstance(stated, str) or len(stated) > 40:
        return None
    try:
        moment = datetime.fromisoformat(stated)
        seconds = int(moment.timestamp()) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
    return seconds if seconds is not None and 0 <= seconds <= _LATEST else None
