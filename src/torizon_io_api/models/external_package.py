"""A package that comes from another publisher, as the deprecated external list shows it."""

from datetime import datetime
from typing import Any

from pydantic import StrictInt, StrictStr

from .base import WireModel


class ExternalPackage(WireModel):
    """`delegation_origin` names the source that vouches for the package."""

    name: StrictStr
    delegation_origin: StrictStr
    version: StrictStr
    package_id: StrictStr
    size: StrictInt
    hashes: dict[str, StrictStr]
    pkg_type: StrictStr | None = None
    hardware_ids: list[StrictStr] | None = None
    created_at: datetime | None = None
    uri: StrictStr | None = None
    proprietary_meta: Any = None
