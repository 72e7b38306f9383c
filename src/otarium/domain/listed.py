"""A package as lists show it: JSON made once, when the package is written, and sent as it stands ever after.

The name of its source is left out, since clients of different API bases spell it differently; whoever sends
a list puts it in front.
"""

import json
from dataclasses import dataclass

from otarium.domain.names import SourceName
from otarium.domain.packages import Package, timestamp

_NO_COMMENT = b',"comment":null'
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


Listed = tuple[SourceName, bytes]
"""The source of a package, and the members of its JSON object without braces. As plain as can be, since lists
are long."""


@dataclass(frozen=True, slots=True)
class Page:
    values: list[Listed]
    total: int


def members(package: Package) -> bytes:
    """The published members in their published order, the comment last."""
    shown = {
        "name": package.name,
        "version": package.version,
        "packageId": package.id,
        "size": package.content.length,
        "hashes": {"sha256": package.content.sha256},
        "pkgType": package.content.format.value,
        "hardwareIds": package.hardware_ids,
        "createdAt": timestamp(package.created_at),
        "uri": package.uri,
        "proprietaryMeta": package.meta,
        "comment": package.comment,
    }
    return _ENCODER.encode(shown)[1:-1].encode()


def without_comment(members: bytes) -> bytes:
    """As the list of external packages has them; nobody can comment those."""
    return members.removesuffix(_NO_COMMENT)


def listed(package: Package) -> Listed:
    return package.source, members(package)
