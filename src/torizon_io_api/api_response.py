"""An answer with all that came with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class ApiResponse(Generic[T]):
    """`data` is the parsed body (None for calls without one), `raw_data` its bytes."""

    status_code: int
    headers: Mapping[str, str]
    data: T
    raw_data: bytes
