"""A proxy in front of an object store that changes a byte of what it passes on, or loses what it was
answered, where it is told to."""

import base64
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

MISMATCH = b"<Error><Code>BadDigest</Code><Message>The sha256 is another one.</Message></Error>"
_HOP = {"connection", "transfer-encoding", "content-length", "server", "date"}


@dataclass
class Altering:
    """`checks`: what arrives is compared with the sha256 that came along, as S3 does (the store behind does
    not)."""

    store: str
    checks: bool
    alters: set[int] = field(default_factory=set)
    """Which of the bodies that are put, counted from 1; empty ones and notes are not counted."""
    loses: str = ""
    """Of the next upload in parts that is completed: "answer", or "upload", which the store then forgets."""
    url: str = ""
    _count: int = 0

    def passed_on(self, body: bytes) -> bytes:
        if len(body) <= 64:
            return body
        self._count += 1
        return bytes([body[0] ^ 1]) + body[1:] if self._count in self.alters else body

    def is_wrong(self, body: bytes, stated: str | None) -> bool:
        return (
            self.checks and base64.b64encode(hashlib.sha256(body).digest()).decode() != (stated or "").strip()
        )


@contextmanager
def altering(store: str, *, checks: bool) -> Iterator[Altering]:
    proxy = Altering(store, checks)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.command == "PUT":
                body = proxy.passed_on(body)
                if len(body) > 64 and proxy.is_wrong(body, self.headers["x-amz-checksum-sha256"]):
                    self._answer(400, {}, MISMATCH)
                    return
            method, lost = self.command, ""
            if method == "POST" and "uploadId=" in self.path:
                lost, proxy.loses = proxy.loses, ""
                method = "DELETE" if lost == "upload" else method
            behind = HTTPConnection(urlsplit(proxy.store).netloc)
            behind.request(method, self.path, body, dict(self.headers))
            answer = behind.getresponse()
            if lost:
                answer.read()
                self._answer(503, {}, b"")
                return
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
            length = answer.getheader("content-length") if self.command == "HEAD" else None
            self._answer(answer.status, headers, answer.read(), length)
            behind.close()

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass

        def _answer(
            self, status: int, headers: dict[str, str], body: bytes, length: str | None = None
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", length or str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
