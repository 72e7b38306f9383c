"""The administration of external package sources: /api/otarium/v1/sources."""

from contextlib import suppress
from typing import Any, TypeVar

import msgspec
from litestar import Response, delete, get, patch, post, put

from otarium.domain.access import Actor
from otarium.domain.errors import Refusal
from otarium.domain.names import SourceName
from otarium.services.source_documents import own_bundle, source_document
from otarium.services.sources import Shown
from otarium.web import wire, wire_sources
from otarium.web.api import JSON, HttpRequest, json_answer, json_body
from otarium.web.context import Web, published

T = TypeVar("T", bound=msgspec.Struct)


async def _body(request: HttpRequest, web: Web, into: type[T]) -> T:
    return await web.reading(wire.body, await json_body(request, web), into)


async def _shown(web: Web, reader: Actor, name: SourceName) -> Response[bytes]:
    shown = await web.reading(web.sources.show, reader, name)
    return json_answer(source_document(shown, web.now()))


@get("/sources", name="get_sources")
async def get_sources(reader: Actor, web: Web) -> Response[bytes]:
    sources = await web.reading(web.sources.every, reader)
    values = [source_document(Shown(source), web.now()) for source in sources]
    return json_answer({"values": values})


@post("/sources", name="post_sources", status_code=200)
async def post_source(request: HttpRequest, writer: Actor, web: Web) -> Response[bytes]:
    """Add a source and fetch it; when that fails it is there all the same, and says why."""
    body = await _body(request, web, wire_sources.SourceBody)
    new = await web.reading(body.to_domain)
    source = await published(web.sources.add(writer, new))
    with suppress(Refusal):
        await published(web.refreshing.refresh(writer, source.name))
    return await _shown(web, writer, source.name)


@get("/sources/{name:str}", name="get_sources_name")
async def get_source(name: str, reader: Actor, web: Web) -> Response[bytes]:
    return await _shown(web, reader, SourceName.lookup(name))


@patch("/sources/{name:str}", name="patch_sources_name")
async def patch_source(request: HttpRequest, name: str, writer: Actor, web: Web) -> Response[bytes]:
    body = await _body(request, web, wire_sources.SourceEditBody)
    headers: Any = None if body.headers is msgspec.UNSET else body.headers
    await published(web.sources.edit(writer, SourceName.lookup(name), body.fields(), headers))
    return await _shown(web, writer, SourceName.lookup(name))


@delete("/sources/{name:str}", name="delete_sources_name", status_code=200)
async def delete_source(name: str, writer: Actor, web: Web) -> Response[bytes]:
    await published(web.sources.remove(writer, SourceName.lookup(name)))
    return Response(b"", media_type=JSON)


@post("/sources/{name:str}/refresh", name="post_sources_name_refresh", status_code=200)
async def post_refresh(name: str, writer: Actor, web: Web) -> Response[bytes]:
    await published(web.refreshing.refresh(writer, SourceName.lookup(name)))
    return await _shown(web, writer, SourceName.lookup(name))


@put("/sources", name="put_sources")
async def put_order(request: HttpRequest, writer: Actor, web: Web) -> Response[bytes]:
    body = await _body(request, web, wire_sources.SourceOrderBody)
    ordered = await published(web.sources.reorder(writer, body.to_domain()))
    values = [source_document(Shown(source), web.now()) for source in ordered]
    return json_answer({"values": values})


@get("/bundle", name="get_bundle")
async def get_bundle(request: HttpRequest, reader: Actor, web: Web) -> Response[bytes]:
    """What another repository adds to trust this one's own packages."""
    query = wire.query(request.scope["query_string"], wire_sources.BundleQuery)
    name = SourceName.parse(query.name)
    return json_answer(await web.reading(own_bundle, web.metadata, web.feed, web.base_url, name, query.path))


SOURCES_API = [
    get_bundle,
    get_sources,
    post_source,
    get_source,
    patch_source,
    delete_source,
    post_refresh,
    put_order,
]
