"""How the judge's device fetches: one GET per connection, the path sent as it stands, redirects followed."""

import http.client
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field

from judges.uptane_errors import FetchFailed, TooLarge

_REDIRECTS = {301, 302, 303, 307, 308}
_MAX_REDIRECTS = 10


@dataclass(frozen=True)
class Response:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)  # lower-case names
    broken: bool = False  # the connection ended before the body did


Fetch = Callable[[str, dict[str, str], int], Response]  # url, headers, largest acceptable body


@dataclass(frozen=True)
class HttpFetch:
    """`source` binds the local address: the server tells devices without certificates apart by it."""

    source: str | None = None
    timeout: float = 30.0

    def __call__(self, url: str, headers: dict[str, str], limit: int) -> Response:
        for _ in range(_MAX_REDIRECTS + 1):
            answer = self._get(url, headers, limit)
            if answer.status not in _REDIRECTS or "location" not in answer.headers:
                return answer
            url = urllib.parse.urljoin(url, answer.headers["location"])
        raise FetchFailed(f"more than {_MAX_REDIRECTS} redirects")

    def _get(self, url: str, headers: dict[str, str], limit: int) -> Response:
        parts = urllib.parse.urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        source = (self.source, 0) if self.source else None
        connection = kind(parts.netloc, timeout=self.timeout, source_address=source)
        try:
            # A device asks for no compression and could not undo any.
            connection.putrequest("GET", parts.path or "/", skip_accept_encoding=True)
            for name, value in {"User-Agent": "Aktualizr/judge", "Accept": "*/*", **headers}.items():
                connection.putheader(name, value)
            connection.endheaders()
            return _read(connection.getresponse(), url, limit)
        except (OSError, http.client.HTTPException) as error:
            return Response(599, str(error).encode())
        finally:
            connection.close()


def _read(answer: http.client.HTTPResponse, url: str, limit: int) -> Response:
    headers = {name.lower(): value for name, value in answer.getheaders()}
    if answer.status not in (200, 206):
        return Response(answer.status, answer.read(65536), headers)
    body, broken = b"", False
    try:
        while len(body) <= limit and (part := answer.read(limit + 1 - len(body))):
            body += part
    except http.client.IncompleteRead as error:
        body, broken = body + error.partial, True
    if len(body) > limit:
        raise TooLarge(f"{url}: more than {limit} bytes")
    broken = broken or len(body) < int(headers.get("content-length", 0))
    return Response(answer.status, body, headers, broken)
