"""Bearer credentials into actors, before a body is read."""

import hashlib
import time
from collections import OrderedDict
from typing import Any

from litestar import Request
from litestar.types import HTTPScope

from otarium.domain.access import Actor, Scope
from otarium.domain.errors import Unauthenticated
from otarium.web.context import Web
from otarium.web.http import header
from otarium.web.observe import ACTOR

REMEMBERED_SECONDS = 2.0
"""How long a token is taken without asking the catalog: a revocation counts within this time."""
_REMEMBERED = 10_000


class Authenticator:
    """Used from the event loop alone."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._known: OrderedDict[bytes, tuple[float, Actor]] = OrderedDict()

    async def actor(self, authorization: str | None) -> Actor:
        """Raises Unauthenticated."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthenticated("This call needs a token: send `Authorization: Bearer TOKEN`.")
        token = token.strip()
        key = hashlib.blake2b(token.encode("utf-8", "replace"), digest_size=16).digest()
        now = time.monotonic()
        known = self._known.get(key)
        if known is not None and known[0] > now:
            return known[1]
        self._known.pop(key, None)
        actor = await self._web.reading(self._web.clients.authenticate, token)
        self._known[key] = (now + REMEMBERED_SECONDS, actor)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return actor

    async def reader(self, request: Request[Any, Any, Any], web: Web) -> Actor:
        """`web` is asked for so that it is resolved before: what the framework resolves side by side costs a
        group of tasks, a quarter of a page."""
        return await self.with_scope(request.scope, Scope.READ)

    async def writer(self, request: Request[Any, Any, Any], web: Web) -> Actor:
        return await self.with_scope(request.scope, Scope.WRITE)

    async def device(self, request: Request[Any, Any, Any], web: Web) -> Actor | None:
        """Whoever may fetch metadata: anybody, or a reader where devices need a token."""
        return await self.reader(request, web) if self._web.devices_need_token else None

    async def with_scope(self, request: HTTPScope | dict[str, Any], scope: Scope) -> Actor:
        """Whoever sends the request of this ASGI scope. Raises Unauthenticated or Forbidden."""
        actor = await self.actor(header(request, b"authorization"))
        request[ACTOR] = actor.name  # type: ignore[literal-required]
        actor.require(scope)
        return actor
