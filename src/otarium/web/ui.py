"""Pages for people: the API reference at /docs, made of the OpenAPI document when it is first asked for. It
has no scripts."""

from functools import cache
from typing import Any

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect

_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


def routes(document: dict[str, Any]) -> list[HTTPRouteHandler]:
    """/openapi.json, /docs, and / which leads there."""
    encoded = msgspec.json.encode(document)

    @get("/openapi.json")
    async def openapi_json() -> Response[bytes]:
        return Response(encoded, media_type="application/json")

    @get("/docs", sync_to_thread=True)
    def docs() -> Response[str]:
        return Response(_page(encoded), media_type="text/html", headers=_HEADERS)

    @get("/", status_code=302)
    async def start() -> Redirect:
        return Redirect("/docs", status_code=302)

    return [openapi_json, docs, start]


@cache
def _page(encoded: bytes) -> str:
    # Imported here because most workers never show it.
    from jinja2 import Environment, PackageLoader, select_autoescape

    environment = Environment(
        loader=PackageLoader("otarium.web"),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("docs.html")
    return template.render(document=msgspec.json.decode(encoded), schema_of=_schema_name)


def _schema_name(content: dict[str, Any] | None) -> str:
    """What a body holds, in a word: the schema's name or its type."""
    if not content:
        return ""
    schema = next(iter(content.values()))["schema"]
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    return str(schema.get("format") or schema.get("type", ""))
