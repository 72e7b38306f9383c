"""Around every request of the API: its id, its span, its access line, its numbers.

The id is the client's or the proxy's where `X-Request-Id` is a UUID (nginx writes them without dashes), else
a new one. It stands in every log line of the request, in the answer's `X-Request-Id`, and as `errorId` in an
error. Access lines name the route and never the path or the query: those hold names, and people put tokens
there.
"""

import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from otarium.services.ports_watch import Span, Traces, request_id
from otarium.web.gate import DEVICE_PATHS
from otarium.web.http import Send, header
from otarium.web.meters import WorkerMeters

log = logging.getLogger("otarium.access")

ACTOR = "otarium.actor"
"""Where the name of whoever asks stands in the scope, once it is known."""
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?)(?:[0-9a-fA-F]{4}\1){3}[0-9a-fA-F]{12}")
_PARENTS = (b"traceparent", b"tracestate")
_PROBES = frozenset({"/health/live", "/health/devices", "/health/ready", "/metrics"})
_GONE = 499
"""Nobody was there any more to be answered; as nginx says it."""

Inner = Callable[[dict[str, Any], Any, Send], Awaitable[None]]


def id_of(scope: dict[str, Any]) -> str:
    given = header(scope, b"x-request-id") or ""
    return str(uuid.UUID(given) if _UUID.fullmatch(given) else uuid.uuid4())


class Observer:
    """An ASGI application around another."""

    def __init__(self, inner: Inner, meters: WorkerMeters, traces: Traces) -> None:
        self._inner = inner
        self._meters = meters
        self._traces = traces

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Send) -> None:
        answer = _Answer(id_of(scope), send)
        method, started = scope["method"], time.monotonic()
        token = request_id.set(answer.id)
        try:
            with self._traces.request(_parents(scope)) as span:
                try:
                    await self._inner(scope, receive, answer.send)
                finally:
                    _describe(span, method, scope, answer)
        finally:
            self._tell(method, scope, answer, time.monotonic() - started)
            request_id.reset(token)

    def _tell(self, method: str, scope: dict[str, Any], answer: "_Answer", seconds: float) -> None:
        self._meters.request(method, _route(scope), answer.status, seconds)
        fields = {
            "method": method,
            "route": _route(scope),
            "status": answer.status,
            "ms": round(seconds * 1000, 1),
            "bytes": answer.bytes,
            "actor": scope.get(ACTOR, "-"),
        }
        # Whoever watches asks every few seconds; a good answer is no news.
        level = logging.DEBUG if answer.status == 200 and _route(scope) in _PROBES else logging.INFO
        log.log(level, "%s %s %d %s ms %d bytes by %s", *fields.values(), extra={"fields": fields})


def _route(scope: dict[str, Any]) -> str:
    """A template: paths are many, and hold names."""
    if scope["path"].startswith(DEVICE_PATHS):
        return "devices"
    return scope.get("path_template") or "none"


def _parents(scope: dict[str, Any]) -> dict[str, str]:
    """W3C Trace Context: the span elsewhere that this request is a part of."""
    return {str(name, "latin-1"): value for name in _PARENTS if (value := header(scope, name))}


def _describe(span: Span, method: str, scope: dict[str, Any], answer: "_Answer") -> None:
    span.name(f"{method} {_route(scope)}")
    span.note(
        http__request__method=method,
        http__route=_route(scope),
        http__response__status_code=answer.status,
        otarium__request_id=answer.id,
    )
    if answer.status >= 500:
        span.failed(f"status {answer.status}")


@dataclass(slots=True)
class _Answer:
    """Counts an answer on its way out, and gives it its id."""

    id: str
    _send: Send
    status: int = _GONE
    bytes: int = 0

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            kept = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"x-request-id"]
            message = message | {"headers": [*kept, (b"x-request-id", self.id.encode())]}
        else:
            self.bytes += len(message.get("body", b""))
        await self._send(message)
