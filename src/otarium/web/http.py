"""Plain ASGI answers for the paths that the framework does not handle."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from litestar.exceptions import MethodNotAllowedException

from otarium.web import errors

Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Fields = dict[bytes, bytes]


def header(scope: Mapping[str, Any], name: bytes) -> str | None:
    """A header by its lower-case name; several lines of it are one list (RFC 9110 5.3)."""
    lines = [str(value, "latin-1") for key, value in scope["headers"] if key == name]
    return ", ".join(lines) if lines else None


def fields(scope: Mapping[str, Any]) -> Fields:
    """All headers by their lower-case names; several lines of one are one list (RFC 9110 5.3)."""
    lines = scope["headers"]
    named: Fields = dict(lines)
    if len(named) < len(lines):
        return {name: b", ".join(value for key, value in lines if key == name) for name in named}
    return named


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer; HEAD gets its headers alone."""

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""

    async def send(self, scope: dict[str, Any], send: Send) -> None:
        length = (b"content-length", str(len(self.body)).encode())
        await send({"type": "http.response.start", "status": self.status, "headers": [*self.headers, length]})
        body = b"" if scope["method"] == "HEAD" else self.body
        await send({"type": "http.response.body", "body": body})


def bodiless(send: Send) -> Send:
    """For HEAD on paths that only know GET: the same headers, no body."""

    async def without_body(message: dict[str, Any]) -> None:
        await send(message | {"body": b""} if message["type"] == "http.response.body" else message)

    return without_body


async def send_error(send: Send, error: Exception, *, head: bool = False) -> None:
    status, extra, body = errors.encode(error)
    headers = [(name.encode(), value.encode()) for name, value in extra.items()]
    headers.append((b"content-type", b"application/json"))
    await Reply(status, headers, body).send({"method": "HEAD" if head else "GET"}, send)


async def not_allowed(send: Send, methods: str) -> None:

    await send_error(send, MethodNotAllowedException(headers={"allow": methods}))
