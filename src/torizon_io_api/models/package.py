"""A package as the repository lists it."""

from datetime import datetime
from typing import Any

from pydantic import StrictInt, StrictStr

from .base import WireModel


class Package(WireModel):
    """`size` is in bytes, `hashes` are lower-case hex; own packages have the source "targets.json"."""

    name: StrictStr
    version: StrictStr
    package_id: StrictStr
    size: StrictInt
    hashes: dict[str, StrictStr]
    package_source: StrictStr | None = None
    pkg_type: StrictStr | None = None
    hardware_ids: list[StrictStr] | None = None
    created_at: datetime | None = None
    uri: StrictStr | None = None
    proprietary_meta: Any = None
    comment: StrictStr | None = None
