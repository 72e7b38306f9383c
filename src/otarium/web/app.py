"""The route table, and the ASGI application around it.

/repo and /tuf are handed out before the framework: a mount inside it would cost a third of their rate. So are
pages of packages.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.plugins import PluginProtocol

from otarium.web import api, errors, first_step, gate, health, oauth, openapi, sources, ui
from otarium.web.auth import Authenticator
from otarium.web.context import Web
from otarium.web.device import DeviceApp
from otarium.web.first_step import in_a_task
from otarium.web.http import bodiless, send_error
from otarium.web.metrics import metrics
from otarium.web.observe import Inner, Observer
from otarium.web.pages import PAGES, PagesApp

Asgi = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


def make_app(web: Web) -> Asgi:
    """The whole web side of one worker."""
    authenticator = Authenticator(web)
    device = DeviceApp(web, authenticator)
    framework = cast(Asgi, _framework(web, authenticator))
    answer = _answering(device, PagesApp(web, authenticator, framework), framework)
    return _entrance(web, device, answer, framework)


def _entrance(web: Web, device: DeviceApp, answer: Inner, framework: Asgi) -> Asgi:
    """What every request comes by first; the one that all devices make is answered here."""
    observed = Observer(answer, web.meters, web.traces)
    meters, devices = web.meters, observed if web.logs_devices else answer
    quick = not (web.logs_devices or web.devices_need_token)
    at_once = device.timestamps.at_once

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await framework(scope, receive, send)
        elif scope["path"].startswith(gate.DEVICE_PATHS):
            meters.device_requests += 1
            if quick and (ready := at_once(scope)):
                await send(ready[0])
                await send(ready[1])
            else:
                await in_a_task()
                await devices(scope, receive, send)
        else:
            await in_a_task()
            await observed(scope, receive, send)

    return app


def _answering(device: Asgi, pages: Asgi, framework: Asgi) -> Asgi:
    """Each request to whoever knows its path, and every failure as the one kind of error."""

    async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            gate.enter(scope)
            inner = framework
            if scope["path"].startswith(gate.DEVICE_PATHS):
                inner = device
            elif scope["method"] == "HEAD":
                scope["method"], send = "GET", bodiless(send)
            if scope["method"] == "OPTIONS":
                # The framework would list the methods of one handler; as unknown, all of the path are.
                scope["method"] = "TRACE"
            if scope["method"] == "GET" and scope["path"] in PAGES:
                inner = pages
            await inner(scope, receive, send)
        except Exception as error:
            await send_error(send, error, head=scope["method"] == "HEAD")

    return answer


class Framework(Litestar):
    """Without default plugins: they are for pydantic, attrs and msgspec in the signatures of handlers, where
    nothing of ours is, and pydantic's loads pydantic 1 too, which every start and every worker would pay."""

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return plugins


def _framework(web: Web, authenticator: Authenticator) -> Litestar:
    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        first_step.install(asyncio.get_running_loop())
        web.started()
        try:
            yield
        finally:
            web.stopped()

    document = openapi.document(web.base_url, web.token_path)
    return Framework(
        route_handlers=[
            *(Router(base, route_handlers=api.PACKAGES_API) for base in gate.API_BASES),
            Router("/api/otarium/v1", route_handlers=[api.post_reference, *sources.SOURCES_API]),
            oauth.token_route(web.token_path),
            *ui.routes(document),
            *health.routes(web),
            metrics,
        ],
        dependencies={
            "web": Provide(lambda: web, sync_to_thread=False),
            "reader": Provide(authenticator.reader),
            "writer": Provide(authenticator.writer),
            "device": Provide(authenticator.device),
        },
        exception_handlers={Exception: errors.handle},
        lifespan=[lifespan],
        openapi_config=None,
        logging_config=None,
    )
