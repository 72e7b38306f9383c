"""One page of packages of other publishers."""

from typing import Annotated

from pydantic import BeforeValidator, Field, StrictInt

from .base import WireModel
from .external_package import ExternalPackage


class PaginationResultExternalPackage(WireModel):
    """`total` counts all matches; `values` is always a list, also when a server sends null or nothing."""

    total: StrictInt
    offset: StrictInt
    limit: StrictInt
    values: Annotated[
        list[ExternalPackage],
        BeforeValidator(lambda given: [] if given is None else given),
        Field(default_factory=list),
    ]
