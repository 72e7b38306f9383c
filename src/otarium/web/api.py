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
from otarium.domain.errors import Invalid, LengthRequired, PackageNotFound, Unavailable
from otarium.domain.listed import listed
from otarium.domain.names import PackageId, SourceName
from otarium.domain.packages import Package, PackageEdit, PackageQuery
from otarium.services.source_documents import info_document
from otarium.services.uploads import Upload
from otarium.web import limits, wire
from otarium.web.context import Web, published
from otarium.web.errors import UnsupportedMediaType
from otarium.web.gate import package_id_of
from otarium.web.http import header
from otarium.web.pages import EXTERNAL_PACKAGES, PACKAGES, ListKind
from otarium.web.wire_out import ending, is_bare, packages_out, spelled

HttpRequest = Request[Any, Any, Any]
JSON = "application/json"
OVERLAP_HEADER = "otarium-accept-overlap"
_PIECE_BYTES = 64 * 1024


def json_answer(content: object, headers: dict[str, str] | None = None) -> Response[bytes]:
    return Response(msgspec.json.encode(content), media_type=JSON, headers=headers)


def _package(package: Package, request: HttpRequest, web: Web) -> Response[bytes]:
    body = packages_out([listed(package)], bare=is_bare(request.scope["path"], web))
    return Response(body, media_type=JSON, headers={"etag": package.etag})


@get("/packages", name="get_packages")
async def get_packages(request: HttpRequest, reader: Actor, web: Web) -> Stream:
    """Long lists; `web/pages` answers the others."""
    return await _list(request, reader, web, PACKAGES)


async def _list(request: HttpRequest, reader: Actor, web: Web, kind: ListKind) -> Stream:
    query = kind.query(request.scope["query_string"])
    render = kind.render(bare=is_bare(request.scope["path"], web))
    total, chunks = await web.listing(web.packages.walk, reader, query)
    return Stream(_streamed(web, query, total, map(render, chunks)), media_type=JSON)


async def _streamed(
    web: Web, query: PackageQuery, total: int, texts: Iterator[bytes]
) -> AsyncIterator[bytes]:
    """The page as JSON text."""
    yield b'{"values":['
    first = True
    while (text := await web.listing(next, texts, None)) is not None:
        yield b"" if first else b","
        # The web server holds back by messages, so they are small: a slow reader fills no memory.
        for start in range(0, len(text), _PIECE_BYTES):
            yield text[start : start + _PIECE_BYTES]
        first = False
    yield ending(total, query.offset, query.limit)


@post("/packages", name="post_packages", status_code=200)
async def post_packages(request: HttpRequest, writer: Actor, web: Web) -> Response[bytes]:
    query = wire.query(request.scope["query_string"], wire.UploadQuery)
    headers = dict(request.headers.items())
    digest = wire.content_digest(headers)
    upload = query.to_domain(_content_length(headers), digest, _accepts_overlap(headers))
    with web.admission.admit(upload.length) as ticket:
        return _package(await _receive(request, writer, web, upload, ticket), request, web)


async def _receive(
    request: HttpRequest, writer: Actor, web: Web, upload: Upload, ticket: limits.Ticket
) -> Package:
    announced = web.admission.announced - upload.length
    staged = await web.writing(web.uploads.begin, writer, upload, announced)
    try:
        pumping = limits.pump(request.receive, staged, ticket, web.pace, web.writers)
        publishing = await web.writing(web.uploads.finish, writer, upload, staged, await pumping)
        return await published(publishing)
    except Unavailable:
        # To look whether the bytes are needed would wait for the catalog once more; the sweep does it.
        await web.writing(staged.cancel)
        raise
    except BaseException:
        await web.writing(web.uploads.discard, staged)
        raise


def _accepts_overlap(headers: dict[str, str]) -> bool:
    return headers.get(OVERLAP_HEADER, "").strip().lower() == "true"


def _content_length(headers: dict[str, str]) -> int:
    if "transfer-encoding" in headers or "content-length" not in headers:
        raise LengthRequired("Send a Content-Length with the size of the package; chunked is not taken.")
    text = headers["content-length"]
    if not (text.isascii() and text.isdigit()):
        raise Invalid(f"Content-Length {text[:40]!a} is not a number of bytes.")
    return int(text)


@get("/packages/{package_id:str}", name="get_packages_packageid")
async def get_package(request: HttpRequest, package_id: str, reader: Actor, web: Web) -> Response[bytes]:
    return _package(await _find(web, reader, package_id_of(package_id)), request, web)


@patch("/packages/{package_id:str}", name="patch_packages_packageid")
async def patch_package(request: HttpRequest, package_id: str, writer: Actor, web: Web) -> Response[bytes]:
    edit = await web.reading(_edit, await json_body(request, web))
    if_match = header(request.scope, b"if-match")
    for candidate in package_id_of(package_id):
        try:
            edited = await published(web.packages.edit(writer, candidate, edit, if_match))
            return _package(edited, request, web)
        except PackageNotFound as error:
            missing = error
    raise missing


def _edit(raw: bytes) -> PackageEdit:
    return wire.body(raw, wire.EditBody).to_domain()


def _reference(raw: bytes) -> wire.ReferenceBody:
    return wire.body(raw, wire.ReferenceBody)


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


async def json_body(request: HttpRequest, web: Web) -> bytes:
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if kind != JSON and not kind.endswith("+json"):
        raise UnsupportedMediaType(
            f"This call takes a JSON body, not {kind[:60]!a}; send Content-Type: application/json."
        )
    return await limits.read_body(request.receive, web.pace.idle_seconds)


@get("/packages_external", name="get_packages_external")
async def get_packages_external(request: HttpRequest, reader: Actor, web: Web) -> Stream:
    """Deprecated by its own contract: /packages lists external packages too."""
    return await _list(request, reader, web, EXTERNAL_PACKAGES)


@get("/packages_external/info", name="get_packages_external_info")
async def get_packages_external_info(request: HttpRequest, reader: Actor, web: Web) -> Response[bytes]:
    sources, bare = await web.reading(web.sources.every, reader), is_bare(request.scope["path"], web)
    return json_answer({spelled(source.name, bare=bare): info_document(source) for source in sources})


@get(
    "/packages_external/refresh/{source_file_name:str}",
    name="get_packages_external_refresh_source_file_name",
)
async def refresh_source(source_file_name: str, writer: Actor, web: Web) -> Response[bytes]:
    """A GET that changes something, as the documented client has it; never cached."""
    await published(web.refreshing.refresh(writer, SourceName.lookup(source_file_name)))
    return Response(b"", media_type=JSON, headers={"cache-control": "no-store"})


@post("/packages/references", name="post_packages_references", status_code=200)
async def post_reference(request: HttpRequest, writer: Actor, web: Web) -> Response[bytes]:
    body = await web.reading(_reference, await json_body(request, web))
    accepted = body.accept_overlap or _accepts_overlap(dict(request.headers.items()))
    adding = web.packages.add(writer, body.to_domain(), accepted)
    return _package(await published(adding), request, web)


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
