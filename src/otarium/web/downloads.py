"""Blobs as HTTP answers: ranges, conditions, constant memory."""

import re
from typing import Any

from otarium.domain.errors import RangeNotSatisfiable, Unavailable
from otarium.domain.names import Sha256
from otarium.services.ports_blobs import OpenBlob
from otarium.web.context import Web
from otarium.web.http import Fields, Headers, Send, fields
from otarium.web.metadata import NO_CACHE, matches

CHUNK_BYTES = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


async def send_blob(scope: dict[str, Any], send: Send, web: Web, sha256: Sha256, *, immutable: bool) -> None:
    """The whole blob or one range of it. Raises Unavailable when the store does not have the bytes."""
    blob = await web.reading(web.blobs.open, sha256)
    if blob is None:
        raise Unavailable("The bytes of this package cannot be read at the moment.", retry_after=30)
    with blob:
        size = blob.length
        etag = f'"{sha256}"'.encode()
        headers: Headers = [
            (b"etag", etag),
            (b"accept-ranges", b"bytes"),
            (b"cache-control", web.cache_forever if immutable else NO_CACHE),
        ]
        asked = fields(scope)
        condition = asked.get(b"if-none-match")
        if condition is not None and matches(condition, etag):
            await send({"type": "http.response.start", "status": 304, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        span = None if scope["method"] == "HEAD" else _asked_range(asked, etag, size)
        if span is None:
            whole = range(size)
            await _stream(scope, send, web, blob, whole, 200, headers)
        elif span:
            content_range = f"bytes {span[0]}-{span[-1]}/{size}".encode()
            headers.append((b"content-range", content_range))
            await _stream(scope, send, web, blob, span, 206, headers)
        else:
            raise RangeNotSatisfiable(f"The package has {size} bytes; ask for a range within.", size=size)


def handed_over(web: Web, path: str, *, immutable: bool) -> Headers:
    """What tells nginx to send a file of its own instead: ranges and conditions are its part then."""
    return [
        (b"x-accel-redirect", path.encode()),
        (b"content-type", b"application/octet-stream"),
        (b"cache-control", web.cache_forever if immutable else NO_CACHE),
    ]


def _asked_range(asked: Fields, etag: bytes, size: int) -> range | None:
    """The bytes asked for; None for all of them, an empty range when none of them exist.

    Several ranges, other units and nonsense are answered with everything, as RFC 9110 14.2 allows.
    """
    if b"range" not in asked or asked.get(b"if-range", etag) != etag:
        return None
    match = _RANGE.fullmatch(asked[b"range"].decode("latin-1").strip().lower().replace(" ", ""))
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return range(max(0, size - int(match[2])), size)
    first = int(match[1])
    last = min(int(match[2]), size - 1) if match[2] else size - 1
    if match[2] and int(match[2]) < first:
        return None
    return range(first, last + 1) if first < size else range(0)


async def _stream(
    scope: dict[str, Any], send: Send, web: Web, blob: OpenBlob, span: range, status: int, headers: Headers
) -> None:
    headers = [
        *headers,
        (b"content-type", b"application/octet-stream"),
        (b"content-length", str(len(span)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    position = span.start
    while scope["method"] != "HEAD" and position < span.stop:
        wanted = min(CHUNK_BYTES, span.stop - position)
        data = await web.reading(blob.read_at, position, wanted)
        if not data:
            raise OSError("a blob became shorter while it was sent")
        position += len(data)
        await send({"type": "http.response.body", "body": data, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
