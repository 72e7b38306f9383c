"""The part of a package that may change after its upload."""

from typing import Any

from pydantic import StrictStr

from .base import WireModel


class EditPackage(WireModel):
    """An edit: a field that is not set keeps its value, None clears it, a value replaces the whole value.

    `hardware_ids=[]` leaves the package with no hardware id; `hardware_ids=None` is sent as null, which keeps
    them.
    """

    hardware_ids: list[StrictStr] | None = None
    uri: StrictStr | None = None
    proprietary_meta: Any = None
    comment: StrictStr | None = None
