"""One request to the API as a value: what is sent, how the answer is read, and when it may be sent again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from .upload import Upload

T = TypeVar("T")

Timeout = float | tuple[float, float] | None
"""Seconds to wait for the connection and for the answer: one number for both, or (connect, read)."""

Headers = Mapping[str, str] | None


@dataclass(frozen=True, kw_only=True)
class Call(Generic[T]):
    """`decode` turns the JSON value of a success into the result; None: the body of the answer means nothing.

    repeat_if_lost      may be sent again when no answer came: the server may have acted on it already
    repeat_if_refused   may be sent again when the answer was 420, 429 or 503
    gone_is_done        a 404 to a repetition means that an earlier try did the work
    """

    method: str
    path: str
    decode: Callable[[Any], T] | None = None
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Upload | None = None
    timeout: Timeout = None
    repeat_if_lost: bool = False
    repeat_if_refused: bool = False
    gone_is_done: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether the request can be formed a second time at all."""
        return not isinstance(self.body, Upload) or self.body.rewindable

    @property
    def target(self) -> str:
        """Path and query; a space is %20 and a plus %2B, which every server reads the same way."""
        if not self.query:
            return self.path
        return f"{self.path}?{'&'.join(f'{key}={quote(value)}' for key, value in self.query)}"


def segment(value: str) -> str:
    """The value as exactly one path segment.

    Raises ValueError for the three that a URL normaliser swallows: DELETE /packages/.. is another resource.
    """
    if value in ("", ".", ".."):
        raise ValueError(f"{value!r} cannot be the id of anything")
    return quote(value, safe="")


def pairs(**parameters: Any) -> list[tuple[str, str]]:
    """Query parameters in the order given: None and empty lists vanish, other lists repeat their key."""
    found: list[tuple[str, str]] = []
    for key, value in parameters.items():
        values = value if isinstance(value, list) else [] if value is None else [value]
        found.extend((key, _text(one)) for one in values)
    return found


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
