"""The body of an error answer."""

from typing import Any
from uuid import UUID

from pydantic import StrictStr

from .base import WireModel


class ErrorRepr(WireModel):
    """`msg` is for people, `code` for programs; `error_id` finds the answer in the server's log."""

    msg: StrictStr
    code: StrictStr
    description: Any = None
    cause: Any = None
    error_id: UUID | None = None
