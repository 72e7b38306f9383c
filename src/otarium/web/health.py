"""What balancers and people ask: does it live, may devices be sent here, may everybody."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from otarium.services.health import Readiness
from otarium.web.context import Web

LONGEST_LOOK = 8.0
"""Seconds; a writer waits 5 for its turn."""


def routes(web: Web) -> list[HTTPRouteHandler]:
    look = _Shared(lambda: web.reading(web.health.ready))

    @get("/health/live")
    async def live() -> Response[bytes]:
        return Response(b'{"status":"ok"}', media_type="application/json")

    @get("/health/devices")
    async def devices() -> Response[bytes]:
        return _told(web.health.for_devices())

    @get("/health/ready")
    async def ready() -> Response[bytes]:
        try:
            return _told(await look())
        except TimeoutError:
            known = web.health.for_devices()
            return _told(replace(known, problems=(*known.problems, "The catalog does not answer.")))

    return [live, devices, ready]


class _Shared:
    """One look at a time, and its answer is for all who ask meanwhile: a catalog that is locked keeps one
    thread waiting, not one for every balancer that asks each second; devices need the others."""

    def __init__(self, look: Callable[[], Awaitable[Readiness]]) -> None:
        self._look = look
        self._running: asyncio.Future[Readiness] | None = None

    async def __call__(self) -> Readiness:
        """Raises TimeoutError."""
        if self._running is None or self._running.done():
            self._running = asyncio.ensure_future(self._look())
        return await asyncio.wait_for(asyncio.shield(self._running), LONGEST_LOOK)


def _told(readiness: Readiness) -> Response[bytes]:
    status = {"status": "unavailable" if readiness.problems else "ok", **msgspec.to_builtins(readiness)}
    return Response(
        msgspec.json.encode(status),
        status_code=503 if readiness.problems else 200,
        media_type="application/json",
        headers={"cache-control": "no-store"},
    )
