"""/repo and /tuf: what devices fetch. Handed out before the framework.

Metadata comes from memory, as the bytes that were signed. A device fetches the plain names under /repo
one after another, so it gets snapshot and targets of the release whose timestamp it took last; clients of
/tuf ask for versions. Nothing here signs or writes.
"""

import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from otarium.domain.access import Scope
from otarium.domain.errors import Invalid, NotFound
from otarium.domain.feed import FEED, FEED_PATH
from otarium.domain.names import Sha256, SourceName
from otarium.domain.packages import Content
from otarium.domain.roles import ROLE_NAMES, Dialect
from otarium.domain.shelves import is_shelf
from otarium.services.downloads import require_bytes
from otarium.web import gate
from otarium.web.auth import Authenticator
from otarium.web.context import Web
from otarium.web.downloads import handed_over, send_blob
from otarium.web.http import Reply, Send, fields, header, not_allowed
from otarium.web.metadata import Answer, MetadataReplies, MetadataReply
from otarium.web.timestamps import Timestamps, device_of

log = logging.getLogger(__name__)

Scope_ = dict[str, Any]
_ROLE_FILE = re.compile(r"(?:(?P<version>[1-9]\d{0,9})\.)?(?P<role>[^/]+)\.json")
_HASHED = re.compile(r"(?P<dir>(?:.*/)?)(?P<hash>[0-9a-f]{32,128})\.(?P<name>.*)", re.DOTALL)
_DIALECTS = {dialect.value: dialect for dialect in Dialect}


class DeviceApp:
    """An ASGI application for the paths below /repo/ and /tuf/."""

    def __init__(self, web: Web, authenticator: Authenticator) -> None:
        self._web = web
        self._authenticator = authenticator
        self._metadata = web.metadata
        self._views = web.views
        self._replies = MetadataReplies(web)
        self._blind = False
        self._device_header = web.device_header or b"authorization"
        self.timestamps = Timestamps(web.metadata, web.views, self._replies, self._device_header)

    async def __call__(self, scope: Scope_, _receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await not_allowed(send, "GET, HEAD")
            return
        _, prefix, rest = scope["path"].split("/", 2)
        dialect = _DIALECTS[prefix]
        await self._admit(scope)
        if rest == "timestamp.json":
            if not self._metadata.is_fresh():
                await self._refresh()
            answer = self.timestamps.answer(scope, dialect)
        elif rest.startswith("targets/"):
            await self._send_target(scope, dialect, send)
            return
        else:
            answer = await self._role_file(scope, dialect, rest)
        for message in answer:
            await send(message)

    async def _admit(self, scope: Scope_) -> None:
        if self._web.devices_need_token:
            (await self._authenticator.actor(header(scope, b"authorization"))).require(Scope.READ)

    async def _role_file(self, scope: Scope_, dialect: Dialect, name: str) -> Answer:
        if not self._metadata.is_fresh():
            await self._refresh()
        match = _ROLE_FILE.fullmatch(name.removeprefix("delegations/"))
        reply = None
        if name == FEED_PATH:
            file = await self._web.reading(self._web.feed.file)
            reply = self._replies.plain(f"{dialect}/{FEED}", file.in_dialect(dialect), file.signed_at)
        elif match is not None and _is_place(match, name.startswith("delegations/"), dialect):
            is_own = match["role"] in ROLE_NAMES or is_shelf(match["role"])
            reply = await (self._own if is_own else self._source)(scope, dialect, match)
        if reply is None:
            raise NotFound(f"There is no metadata file {name[:100]!a}.")
        return await reply.answer(fields(scope), scope["method"])

    async def _own(self, scope: Scope_, dialect: Dialect, match: re.Match[str]) -> MetadataReply | None:
        """A file that this repository signed."""
        role, metadata = match["role"], self._metadata
        called = f"{dialect}/{role}"
        if match["version"]:
            file = await self._web.reading(metadata.versioned, role, int(match["version"]))
            return self._replies.versioned(called, file.in_dialect(dialect), file.signed_at) if file else None
        number = self._view(scope, dialect) if role != "root" else None
        if number is None and role in ROLE_NAMES:
            file = metadata.plain(role, None)
        else:
            file = await self._web.reading(metadata.plain, role, number)
        return self._replies.plain(called, file.in_dialect(dialect), file.signed_at) if file else None

    async def _source(self, scope: Scope_, dialect: Dialect, match: re.Match[str]) -> MetadataReply | None:
        """A file of another publisher."""
        name, files = SourceName(match["role"]), self._web.source_files
        called = f"{dialect}/{name}"
        if match["version"]:
            file = await self._web.reading(files.versioned, name, dialect, int(match["version"]))
            return self._replies.versioned(called, file.signed, file.modified_at) if file else None
        file = await self._web.reading(files.plain, name, dialect, self._view(scope, dialect))
        return self._replies.plain(called, file.signed, file.modified_at) if file else None

    def _view(self, scope: Scope_, dialect: Dialect) -> int | None:
        """The release whose timestamp a device took last, where that is not the newest."""
        if dialect is not Dialect.UPTANE:
            return None
        device = device_of(scope, fields(scope), self._device_header)
        number = self._views.recall(device, monotonic())
        return None if number == self._metadata.current.number else number

    async def _refresh(self) -> None:
        """While the catalog cannot be read, devices keep getting what was committed last."""
        try:
            await self._web.reading(self._metadata.refresh)
        except Exception:
            if not self._blind:
                log.exception("the catalog cannot be read; devices get the last release that was")
            self._blind = True
        else:
            self._blind = False

    async def _send_target(self, scope: Scope_, dialect: Dialect, send: Send) -> None:
        name = gate.path_text(scope["raw_path"]).partition("/targets/")[2]
        # tuf-js leaves a `%` in a name as it is; then the hash in front is enough to find the bytes.
        with suppress(Invalid):
            name = gate.decode_path(name)
        content, hashed, link = await self._web.reading(self._find, dialect, name)
        if content.location is not None:
            reply = Reply(302, [(b"location", content.location.encode()), (b"cache-control", b"no-cache")])
            await reply.send(scope, send)
        elif link is not None and link.startswith("/"):
            await Reply(200, handed_over(self._web, link, immutable=hashed)).send(scope, send)
        elif link is not None:
            headers = [(b"location", link.encode()), (b"cache-control", b"private, max-age=60")]
            await Reply(302, headers).send(scope, send)
        else:
            await send_blob(scope, send, self._web, content.sha256, immutable=hashed)

    def _find(self, dialect: Dialect, name: str) -> tuple[Content, bool, str | None]:
        """What is meant, whether by its hash, and where it is fetched if not from here. Raises NotFound."""
        content, hashed = self._resolve(dialect, name)
        content = require_bytes(content, name)
        return content, hashed, None if content.location else self._web.blobs.link_to(content.sha256)

    def _resolve(self, dialect: Dialect, name: str) -> tuple[Content | None, bool]:
        """An exact package id wins; then `[dir/]HASH.NAME`, found by the hash alone. Ours before all others,
        whose first hash may be of any kind; theirs as clients of the dialect spell it."""
        downloads, match = self._web.downloads, _HASHED.fullmatch(name)
        content = downloads.by_name(name)
        if content is not None:
            return content, False
        sha256 = Sha256(match["hash"]) if match and len(match["hash"]) == 64 else None
        content = downloads.by_hash(sha256) if sha256 else None
        if content is None:
            meant: list[tuple[str, Sha256 | None]] = [(name, None)]
            if match:
                hashed = (match["dir"] + match["name"], sha256)
                meant.insert(0 if dialect is Dialect.TUF else 1, hashed)
            content = downloads.external(dialect, meant)
        return content, match is not None


def _is_place(match: re.Match[str], below_delegations: bool, dialect: Dialect) -> bool:
    """aktualizr looks for plain names of delegated roles below delegations/; all others have one place."""
    if match["version"] or dialect is Dialect.TUF:
        return True
    return below_delegations == (match["role"] not in ROLE_NAMES)
