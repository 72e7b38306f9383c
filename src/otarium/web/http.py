"""Plain ASGI answers for the paths that the framework does not handle."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from litestar.exceptions import MethodNotAllowedException

from otarium.web import errors

Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


def header(scope: dict[str, Any], name: bytes) -> str | None:
    """The first value of a header, by its lower-case name."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


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


async def send_error(send: Send, error: Exception, *, head: bool = False) -> None:
    status, extra, body = errors.encode(error)
    headers = [(name.encode(), value.encode()) for name, value in extra.items()]
    headers.append((b"content-type", b"application/json"))
    await Reply(status, headers, body).send({"method": "HEAD" if head else "GET"}, send)


async def not_allowed(send: Send, methods: str) -> None:

    await send_error(send, MethodNotAllowedException(headers={"allow": methods}))
