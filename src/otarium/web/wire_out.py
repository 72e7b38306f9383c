"""The answers of the Packages API: domain values into the published names and spellings."""

from collections.abc import Callable
from typing import Any

import msgspec

from otarium.domain.names import OWN_SOURCE, SourceName
from otarium.domain.packages import Package, timestamp


class PackageOut(msgspec.Struct, rename="camel"):
    """A package as clients see it; no further keys, since strict clients refuse unknown ones."""

    name: str
    version: str
    package_id: str
    size: int
    hashes: dict[str, str]
    package_source: str
    pkg_type: str | None
    hardware_ids: list[str]
    created_at: str
    uri: str | None
    proprietary_meta: Any
    comment: str | None


Spell = Callable[[SourceName], str]
"""How this answer writes the name of a source."""


def spelled(source: SourceName, *, bare: bool) -> str:
    """Our own packages are of `targets.json` everywhere; clients hold on to that name."""
    return str(source) if bare and source != OWN_SOURCE else f"{source}.json"


def package_out(package: Package, spell: Spell) -> PackageOut:
    return PackageOut(
        name=str(package.name),
        version=str(package.version),
        package_id=str(package.id),
        size=package.content.length,
        hashes={"sha256": str(package.content.sha256)},
        package_source=spell(package.source),
        pkg_type=package.content.format.value,
        hardware_ids=[str(one) for one in package.hardware_ids],
        created_at=timestamp(package.created_at),
        uri=package.uri,
        proprietary_meta=package.meta,
        comment=package.comment,
    )


class PageOut(msgspec.Struct):
    values: list[PackageOut]
    total: int
    offset: int
    limit: int


class ExternalPackageOut(msgspec.Struct, rename="camel"):
    name: str
    delegation_origin: str
    version: str
    package_id: str
    size: int
    hashes: dict[str, str]
    pkg_type: str | None
    hardware_ids: list[str]
    created_at: str | None
    uri: str | None
    proprietary_meta: Any


def external_package_out(package: Package, spell: Spell) -> ExternalPackageOut:
    return ExternalPackageOut(
        name=str(package.name),
        delegation_origin=spell(package.source),
        version=str(package.version),
        package_id=str(package.id),
        size=package.content.length,
        hashes={"sha256": str(package.content.sha256)},
        pkg_type=package.content.format.value,
        hardware_ids=[str(one) for one in package.hardware_ids],
        created_at=timestamp(package.created_at),
        uri=package.uri,
        proprietary_meta=package.meta,
    )


class ExternalPageOut(msgspec.Struct):
    values: list[ExternalPackageOut]
    total: int
    offset: int
    limit: int
