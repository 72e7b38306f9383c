"""Pages of packages, answered before the framework.

Lists that are longer than a page go on to the framework, which streams them. Both read the same queries.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from otarium.domain.access import Scope
from otarium.domain.packages import PackageQuery
from otarium.web import wire
from otarium.web.auth import Authenticator
from otarium.web.context import Web
from otarium.web.gate import API_BASES
from otarium.web.http import Reply, Send
from otarium.web.wire_out import Render, ending, external_packages_out, is_bare, packages_out

_HEADERS = [(b"content-type", b"application/json")]
Asgi = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class _Out(Protocol):
    def __call__(self, values: Any, *, bare: bool) -> bytes: ...


@dataclass(frozen=True, slots=True)
class ListKind:
    """What a list may be asked, and how it shows packages."""

    parameters: type[wire.ListQuery] | type[wire.ExternalListQuery]
    out: _Out

    def query(self, raw: bytes) -> PackageQuery:
        """Raises Invalid."""
        return wire.query(raw, self.parameters).to_domain()

    def render(self, *, bare: bool) -> Render:
        return partial(self.out, bare=bare)


PACKAGES = ListKind(wire.ListQuery, packages_out)
EXTERNAL_PACKAGES = ListKind(wire.ExternalListQuery, external_packages_out)
_KINDS = {"packages": PACKAGES, "packages_external": EXTERNAL_PACKAGES}
PAGES = {f"{base}/{path}": kind for base in API_BASES for path, kind in _KINDS.items()}


class PagesApp:
    """An ASGI application for GET of the paths in PAGES."""

    def __init__(self, web: Web, authenticator: Authenticator, long: Asgi) -> None:
        """`long` answers what is no page."""
        self._web = web
        self._authenticator = authenticator
        self._long = long

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Send) -> None:
        path, web = scope["path"], self._web
        scope["path_template"] = path
        reader = await self._authenticator.with_scope(scope, Scope.READ)
        kind = PAGES[path]
        query = kind.query(scope["query_string"])
        if query.limit > web.page_size:
            await self._long(scope, receive, send)
            return
        page = await web.listing(web.packages.search, reader, query)
        shown = kind.out(page.values, bare=is_bare(path, web))
        body = b'{"values":[' + shown + ending(page.total, query.offset, query.limit)
        await Reply(200, _HEADERS, body).send(scope, send)
