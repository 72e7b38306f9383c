"""timestamp.json, which every device asks for all the time: the shortest way through a worker.

Nothing is waited for here; what has to wait goes the way of all other files. Written for few calls: at this
rate each is a percent of a core.
"""

from time import monotonic
from typing import Any

from otarium.domain.roles import Dialect
from otarium.services.metadata import Metadata
from otarium.services.ports import Views
from otarium.web.http import Fields, fields
from otarium.web.metadata import Answer, MetadataReplies, MetadataReply

_PATHS = {f"/{dialect.value}/timestamp.json": dialect for dialect in Dialect}


def device_of(scope: dict[str, Any], asked: Fields, told_by: bytes) -> bytes:
    """Who asks: what the proxy in front says, else its credential where it has one, else its address."""
    told = asked.get(told_by) or asked.get(b"authorization")
    client = scope["client"]
    return told or (client[0].encode() if client else b"")


class Timestamps:
    """Used from the event loop alone."""

    def __init__(
        self, metadata: Metadata, views: Views, replies: MetadataReplies, device_header: bytes
    ) -> None:
        """`device_header` tells devices apart."""
        self._metadata = metadata
        self._views = views
        self._replies = replies
        self._device_header = device_header
        self._number = -1
        self._ready: dict[Dialect, MetadataReply] = {}

    def at_once(self, scope: dict[str, Any]) -> Answer | None:
        """None for any other request, and where the newest release has to be read first."""
        dialect = _PATHS.get(scope["path"])
        if dialect is None or scope["method"] != "GET" or scope["query_string"]:
            return None
        return self.answer(scope, dialect) if self._metadata.is_fresh() else None

    def answer(self, scope: dict[str, Any], dialect: Dialect) -> Answer:
        """Of the release that is known here. An Uptane device is noted with it: it fetches the other files
        one after another, and they are to be of this release. Raises Broken where nothing was published."""
        if self._metadata.number != self._number:
            self._prepare()
        asked = fields(scope)
        if dialect is Dialect.UPTANE:
            self._views.remember(device_of(scope, asked, self._device_header), self._number, monotonic())
        return self._ready[dialect].identity.answer(asked, scope["method"])

    def _prepare(self) -> None:
        file = self._metadata.current.timestamp
        self._ready = {
            dialect: self._replies.plain(f"{dialect}/{file.role}", file.in_dialect(dialect), file.signed_at)
            for dialect in Dialect
        }
        self._number = file.version
