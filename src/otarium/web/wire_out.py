"""The answers of the Packages API: their published shapes, and packages put together from ready members.

The structs say what is sent, and the OpenAPI document is made from them; a test holds the members that
`domain.listed` makes against them.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from otarium.domain.listed import Listed, without_comment
from otarium.domain.names import OWN_SOURCE, SourceName
from otarium.web.context import Web


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


Render = Callable[[Sequence[Listed]], bytes]
"""Packages as JSON objects with commas between them."""


def spelled(source: SourceName, *, bare: bool) -> str:
    """Our own packages are of `targets.json` everywhere; clients hold on to that name."""
    return str(source) if bare and source != OWN_SOURCE else f"{source}.json"


def is_bare(path: str, web: Web) -> bool:
    """Clients of v2beta write sources as `name.json`, those of v2 as `name`; a setting overrides."""
    return web.source_spelling == "bare" or (
        web.source_spelling == "auto" and not path.startswith("/api/v2beta/")
    )


@lru_cache
def _opening(member: str, source: SourceName, bare: bool) -> bytes:
    name = msgspec.json.encode(spelled(source, bare=bare))
    return b'{"%s":%s,' % (member.encode(), name)


def _openings(member: str, values: Sequence[Listed], bare: bool) -> dict[SourceName, bytes]:
    """How the objects begin: sources are few beside packages."""
    return {source: _opening(member, source, bare) for source in {source for source, _ in values}}


def packages_out(values: Sequence[Listed], *, bare: bool) -> bytes:
    opening = _openings("packageSource", values, bare)
    objects = [opening[source] + members for source, members in values]
    return b"},".join(objects) + b"}" if objects else b""


def external_packages_out(values: Sequence[Listed], *, bare: bool) -> bytes:
    opening = _openings("delegationOrigin", values, bare)
    objects = [opening[source] + without_comment(members) for source, members in values]
    return b"},".join(objects) + b"}" if objects else b""


def ending(total: int, offset: int, limit: int) -> bytes:
    """What follows the packages of a page."""
    return b'],"total":%d,"offset":%d,"limit":%d}' % (total, offset, limit)


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


class ExternalPageOut(msgspec.Struct):
    values: list[ExternalPackageOut]
    total: int
    offset: int
    limit: int
