"""The Packages API; each handler parses, makes one service call, renders.

Contract: the documented client's `PackagesApi`. Success is exactly 200, since the official client turns
201, 202 and 204 into None.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.response import Stream

from otarium.domain.access import Actor
from otarium.domain.errors import Invalid, LengthRequired, PackageNotFound, SourceNotFound, Unavailable
from otarium.domain.names import PackageId
from otarium.domain.packages import NewPackage, Package, PackageEdit, PackageQuery
from otarium.services.packages import Upload
from otarium.web import limits, wire
from otarium.web.context import Web, published
from otarium.web.errors import UnsupportedMediaType
from otarium.web.gate import package_id_of
from otarium.web.http import header

HttpRequest = Request[Any, Any, Any]
JSON = "application/json"
_PIECE_BYTES = 64 * 1024


def _json(content: object, headers: dict[str, str] | None = None) -> Response[bytes]:
    return Response(msgspec.json.encode(content), media_type=JSON, headers=headers)


def _package(package: Package) -> Response[bytes]:
    return _json(wire.package_out(package), {"etag": package.etag})


@get("/packages", name="get_packages")
async def get_packages(request: HttpRequest, reader: Actor, web: Web) -> Response[Any]:
    asked = wire.query(request.scope["query_string"], wire.ListQuery)
    query = asked.to_domain()
    if asked.limit > web.page_size:
        total, chunks = await web.reading(web.packages.walk, reader, query)
        return Stream(_streamed(web, query, total, chunks), media_type=JSON)
    page = await web.reading(web.packages.search, reader, query)
    values = [wire.package_out(package) for package in page.values]
    return _json(wire.PageOut(values, page.total, query.offset, query.limit))


async def _streamed(
    web: Web, query: PackageQuery, total: int, chunks: Iterator[list[Package]]
) -> AsyncIterator[bytes]:
    """The page as JSON text, a chunk of rows at a time."""
    yield b'{"values":['
    first = True
    while (chunk := await web.reading(next, chunks, None)) is not None:
        text = msgspec.json.encode([wire.package_out(package) for package in chunk])[1:-1]
        yield b"" if first else b","
        # The web server holds back by messages, so they are small: a slow reader fills no memory.
        for start in range(0, len(text), _PIECE_BYTES):
            yield text[start : start + _PIECE_BYTES]
        first = False
    yield f'],"total":{total},"offset":{query.offset},"limit":{query.limit}}}'.encode()


@post("/packages", name="post_packages", status_code=200)
async def post_packages(request: HttpRequest, writer: Actor, web: Web) -> Response[bytes]:
    query = wire.query(request.scope["query_string"], wire.UploadQuery)
    headers = dict(request.headers.items())
    upload = query.to_domain(_content_length(headers), wire.content_digest(headers))
    with web.admission.admit(upload.length) as ticket:
        return _package(await _receive(request, writer, web, upload, ticket))


async def _receive(
    request: HttpRequest, writer: Actor, web: Web, upload: Upload, ticket: limits.Ticket
) -> Package:
    announced = web.admission.announced - upload.length
    staged = await web.writing(web.packages.begin_upload, writer, upload, announced)
    try:
        await limits.pump(request.receive, staged, ticket, web.pace, web.writers)
        publishing = await web.writing(web.packages.finish_upload, writer, upload, staged)
        return await published(publishing)
    except Unavailable:
        # To look whether the bytes are needed would wait for the catalog once more; the sweep does it.
        await web.writing(staged.cancel)
        raise
    except BaseException:
        await web.writing(web.packages.discard, staged)
        raise


def _content_length(headers: dict[str, str]) -> int:
    if "transfer-encoding" in headers or "content-length" not in headers:
        raise LengthRequired("Send a Content-Length with the size of the package; chunked is not taken.")
    text = headers["content-length"]
    if not (text.isascii() and text.isdigit()):
        raise Invalid(f"Content-Length {text[:40]!a} is not a number of bytes.")
    return int(text)


@get("/packages/{package_id:str}", name="get_packages_packageid")
async def get_package(package_id: str, reader: Actor, web: Web) -> Response[bytes]:
    return _package(await _find(web, reader, package_id_of(package_id)))


@patch("/packages/{package_id:str}", name="patch_packages_packageid")
async def patch_package(request: HttpRequest, package_id: str, writer: Actor, web: Web) -> Response[bytes]:
    edit = await web.reading(_edit, await _json_body(request, web))
    if_match = header(request.scope, b"if-match")
    for candidate in package_id_of(package_id):
        try:
            return _package(await published(web.packages.edit(writer, candidate, edit, if_match)))
        except PackageNotFound as error:
            missing = error
    raise missing


def _edit(raw: bytes) -> PackageEdit:
    return wire.body(raw, wire.EditBody).to_domain()


def _reference(raw: bytes) -> NewPackage:
    return wire.body(raw, wire.ReferenceBody).to_domain()


@delete("/packages/{package_id:str}", name="delete_packages_packageid", status_code=200)
async def delete_package(request: HttpRequest, package_id: str, writer: Actor, web: Web) -> Response[bytes]:
    if_match = header(request.scope, b"if-match")
    for candidate in package_id_of(package_id):
        try:
            await published(web.packages.delete(writer, candidate, if_match))
            return Response(b"", media_type=JSON)
        except PackageNotFound as error:
            missing = error
    raise missing


async def _find(web: Web, reader: Actor, candidates: tuple[PackageId, ...]) -> Package:
    for candidate in candidates:
        try:
            return await web.reading(web.packages.get, reader, candidate)
        except PackageNotFound as error:
            missing = error
    raise missing


async def _json_body(request: HttpRequest, web: Web) -> bytes:
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if kind != JSON and not kind.endswith("+json"):
        raise UnsupportedMediaType(
            f"This call takes a JSON body, not {kind[:60]!a}; send Content-Type: application/json."
        )
    return await limits.read_body(request.receive, web.pace.idle_seconds)


@get("/packages_external", name="get_packages_external")
async def get_packages_external(request: HttpRequest, reader: Actor) -> Response[bytes]:
    """This repository has no external sources yet, and says so."""
    asked = wire.query(request.scope["query_string"], wire.ExternalListQuery)
    return _json(wire.ExternalPageOut([], 0, asked.offset, asked.limit))


@get("/packages_external/info", name="get_packages_external_info")
async def get_packages_external_info(reader: Actor) -> Response[bytes]:
    return _json(dict[str, wire.DelegationInfoOut]())


@get(
    "/packages_external/refresh/{source_file_name:str}",
    name="get_packages_external_refresh_source_file_name",
)
async def refresh_source(source_file_name: str, reader: Actor) -> Response[bytes]:
    raise SourceNotFound(
        f"There is no external package source {source_file_name[:100]!a} in this repository.",
        description="Delegation was not found",
    )


@post("/packages/references", name="post_packages_references", status_code=200)
async def post_reference(request: HttpRequest, writer: Actor, web: Web) -> Response[bytes]:
    new = await web.reading(_reference, await _json_body(request, web))
    return _package(await published(web.packages.add_reference(writer, new)))


PACKAGES_API = [
    get_packages,
    post_packages,
    get_package,
    patch_package,
    delete_package,
    get_packages_external,
    get_packages_external_info,
    refresh_source,
]
