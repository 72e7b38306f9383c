"""What the repository knows about one external package source."""

from datetime import datetime

from pydantic import StrictStr

from .base import WireModel


class DelegationInfo(WireModel):
    """All fields are optional: a source that was never fetched has neither times nor, perhaps, an address."""

    last_fetched: datetime | None = None
    remote_uri: StrictStr | None = None
    friendly_name: StrictStr | None = None
    expires: datetime | None = None
