"""What a TUF 1.0 client found: the answer that both TUF judges give."""

from dataclasses import dataclass, field
from typing import Any


class TufRefused(Exception):
    """The client would not go on; its own words."""


@dataclass(frozen=True)
class Found:
    body: bytes
    length: int
    hashes: dict[str, str]
    custom: dict[str, Any] | None


@dataclass(frozen=True)
class Verdict:
    versions: dict[str, int]
    targets: dict[str, Found] = field(default_factory=dict)  # those asked for and found
