"""Metadata files as HTTP answers: ETag and 304, HEAD, cache rules, gzip when asked for.

Answers are made once per file and kept while the file is among the last ones asked for.
"""

import gzip
from collections import OrderedDict
from email.utils import formatdate, parsedate_to_datetime
from typing import Any

from otarium.domain.roles import SignedRole
from otarium.web.context import Web
from otarium.web.http import Headers, Send

_GZIP_FROM_BYTES = 1024
_KEPT_BYTES = 32 * 1024 * 1024
NO_CACHE = b"no-cache"
_NO_BODY = {"type": "http.response.body", "body": b""}


class _Variant:
    """The ASGI messages of one encoding of one file."""

    def __init__(self, body: bytes, etag: str, headers: Headers) -> None:
        self.etag = etag
        headers = [*headers, (b"etag", etag.encode())]
        self.not_modified = {"type": "http.response.start", "status": 304, "headers": headers}
        length = (b"content-length", str(len(body)).encode())
        self.start = {"type": "http.response.start", "status": 200, "headers": [*headers, length]}
        self.body = {"type": "http.response.body", "body": body}


class MetadataReply:
    """A file that answers conditional and compressed requests."""

    def __init__(self, web: Web, signed: SignedRole, cache: bytes, modified_at: int) -> None:
        self._web = web
        self._signed = signed
        self._modified_at = modified_at
        self._headers: Headers = [
            (b"content-type", b"application/json"),
            (b"cache-control", cache),
            (b"vary", b"accept-encoding"),
            (b"last-modified", formatdate(modified_at, usegmt=True).encode()),
        ]
        self._identity = _Variant(signed.raw, f'"{signed.sha256}"', self._headers)
        self._gzip: _Variant | None = None

    @property
    def length(self) -> int:
        return self._signed.length

    async def send(self, scope: dict[str, Any], send: Send) -> None:
        accepted = condition = since = None
        for name, value in scope["headers"]:
            if name == b"accept-encoding":
                accepted = value
            elif name == b"if-none-match":
                condition = (
                    str(value, "latin-1") if condition is None else f"{condition}, {value.decode('latin-1')}"
                )
            elif name == b"if-modified-since":
                since = str(value, "latin-1")
        variant = self._identity
        if accepted is not None and self._signed.length >= _GZIP_FROM_BYTES and _takes_gzip(accepted):
            variant = await self._compressed()
        # If-Modified-Since counts only where there is no If-None-Match (RFC 9110 13.1.3).
        if (
            matches(condition, variant.etag)
            if condition is not None
            else since is not None and _is_since(since, self._modified_at)
        ):
            await send(variant.not_modified)
            await send(_NO_BODY)
        else:
            await send(variant.start)
            await send(_NO_BODY if scope["method"] == "HEAD" else variant.body)

    async def _compressed(self) -> _Variant:
        if self._gzip is None:
            body = await self._web.reading(_gzipped, self._signed.raw)
            headers = [*self._headers, (b"content-encoding", b"gzip")]
            self._gzip = _Variant(body, f'"{self._signed.sha256}-gzip"', headers)
        return self._gzip


def _gzipped(raw: bytes) -> bytes:
    """The same bytes on every worker, since they share an ETag."""
    return gzip.compress(raw, 6, mtime=0)


def _takes_gzip(accepted: bytes) -> bool:
    for one in accepted.split(b","):
        name, _, quality = one.partition(b";")
        if name.strip().lower() == b"gzip":
            return quality.replace(b" ", b"").rstrip(b"0.") != b"q="
    return False


def _is_since(text: str, modified_at: int) -> bool:
    try:
        return parsedate_to_datetime(text).timestamp() >= modified_at
    except (ValueError, OverflowError):
        return False


def matches(condition: str, etag: str) -> bool:
    """If-None-Match, by weak comparison (RFC 9110 13.1.2)."""
    listed = [one.strip().removeprefix("W/") for one in condition.split(",")]
    return etag in listed or listed == ["*"]


class MetadataReplies:
    """The answers for the files asked for last, bounded in bytes."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._size = 0
        self._kept: OrderedDict[tuple[str, bytes], MetadataReply] = OrderedDict()

    def plain(self, signed: SignedRole, modified_at: int) -> MetadataReply:
        return self._reply(signed, NO_CACHE, modified_at)

    def versioned(self, signed: SignedRole, modified_at: int) -> MetadataReply:
        return self._reply(signed, self._web.cache_forever, modified_at)

    def _reply(self, signed: SignedRole, cache: bytes, modified_at: int) -> MetadataReply:
        key = (signed.sha256, cache)
        reply = self._kept.get(key)
        if reply is None:
            reply = self._kept[key] = MetadataReply(self._web, signed, cache, modified_at)
            self._size += signed.length
            while self._size > _KEPT_BYTES and len(self._kept) > 1:
                self._size -= self._kept.popitem(last=False)[1].length
        return reply
