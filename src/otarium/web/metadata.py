"""Metadata files as HTTP answers: ETag and 304, HEAD, cache rules, gzip when asked for.

Answers are made once per file and kept while the file is among the last ones asked for.
"""

import gzip
from email.utils import formatdate, parsedate_to_datetime
from typing import Any

from otarium.domain.roles import SignedRole
from otarium.services.recent import Recent
from otarium.web.context import Web
from otarium.web.http import Fields, Headers

_GZIP_FROM_BYTES = 1024
_KEPT_BYTES = 32 * 1024 * 1024
NO_CACHE = b"no-cache"
_NO_BODY = {"type": "http.response.body", "body": b""}


Answer = tuple[dict[str, Any], dict[str, Any]]
"""Two ASGI messages: start and body."""


class _Variant:
    """The answers of one encoding of one file."""

    def __init__(self, body: bytes, etag: str, modified_at: int, headers: Headers) -> None:
        self._etag = etag.encode()
        self._modified_at = modified_at
        headers = [*headers, (b"etag", self._etag)]
        self._not_modified: Answer = _start(304, headers), _NO_BODY
        # The server says how long a body is; of an answer without one it cannot know.
        self._whole: Answer = _start(200, headers), {"type": "http.response.body", "body": body}
        length = (b"content-length", str(len(body)).encode())
        self._head: Answer = _start(200, [*headers, length]), _NO_BODY

    def answer(self, asked: Fields, method: str) -> Answer:
        condition = asked.get(b"if-none-match")
        # If-Modified-Since counts only where there is no If-None-Match (RFC 9110 13.1.3).
        if condition is not None:
            if condition == self._etag or matches(condition, self._etag):
                return self._not_modified
        elif b"if-modified-since" in asked and _is_since(asked[b"if-modified-since"], self._modified_at):
            return self._not_modified
        return self._head if method == "HEAD" else self._whole


def _start(status: int, headers: Headers) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


class MetadataReply:
    """A file that answers conditional and compressed requests."""

    def __init__(self, web: Web, signed: SignedRole, cache: bytes, modified_at: int) -> None:
        self._web = web
        self._signed = signed
        self._modified_at = modified_at
        self._headers: Headers = [
            (b"content-type", b"application/json"),
            (b"cache-control", cache),
            (b"last-modified", formatdate(modified_at, usegmt=True).encode()),
        ]
        self._compresses = signed.length >= _GZIP_FROM_BYTES
        if self._compresses:
            self._headers.append((b"vary", b"accept-encoding"))
        self.identity = _Variant(signed.raw, f'"{signed.sha256}"', modified_at, self._headers)
        """As it is; there is nothing to wait for."""
        self._gzip: _Variant | None = None

    @property
    def sha256(self) -> str:
        return self._signed.sha256

    async def answer(self, asked: Fields, method: str) -> Answer:
        variant = self.identity
        if self._compresses and _takes_gzip(asked.get(b"accept-encoding", b"")):
            variant = await self._compressed()
        return variant.answer(asked, method)

    async def _compressed(self) -> _Variant:
        if self._gzip is None:
            body = await self._web.reading(_gzipped, self._signed.raw)
            headers = [*self._headers, (b"content-encoding", b"gzip")]
            self._gzip = _Variant(body, f'"{self._signed.sha256}-gzip"', self._modified_at, headers)
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


def _is_since(date: bytes, modified_at: int) -> bool:
    try:
        return parsedate_to_datetime(date.decode("latin-1")).timestamp() >= modified_at
    except (ValueError, OverflowError):
        return False


def matches(condition: bytes, etag: bytes) -> bool:
    """If-None-Match, by weak comparison (RFC 9110 13.1.2)."""
    listed = [one.strip().removeprefix(b"W/") for one in condition.split(b",")]
    return etag in listed or listed == [b"*"]


class MetadataReplies:
    """The answers for the files asked for last, bounded in bytes. `name` is of one file, in one dialect."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._recent: Recent[MetadataReply] = Recent(_KEPT_BYTES)

    def plain(self, name: str, signed: SignedRole, modified_at: int) -> MetadataReply:
        return self._reply(name, signed, NO_CACHE, modified_at)

    def versioned(self, name: str, signed: SignedRole, modified_at: int) -> MetadataReply:
        return self._reply(name, signed, self._web.cache_forever, modified_at)

    def _reply(self, name: str, signed: SignedRole, cache: bytes, modified_at: int) -> MetadataReply:
        reply = self._recent.get((name, cache), signed.version)
        if reply is None or reply.sha256 != signed.sha256:
            reply = MetadataReply(self._web, signed, cache, modified_at)
            self._recent.put((name, cache), signed.version, reply, signed.length)
        return reply
