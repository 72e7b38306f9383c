"""An HTTP server for the tests of the client: it records what arrives and answers from a script.

Answers are given in order, the last one again and again; or a function decides per request, from its headers.
An early answer is sent before the body is read, which is how a server refuses an upload.
"""

import hashlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEPT = 1 << 20
"""Bytes of a body that are remembered; all of them are counted and hashed."""


@dataclass
class Seen:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""
    length: int = 0
    sha256: str = ""


@dataclass
class Answer:
    """`value` (or what it returns for the request) becomes JSON; `body` goes out as it is.

    `early` answers before the body is read and closes, with `keep_open` only at the end of the test; `drop`
    closes without a word.
    """

    status: int = 200
    value: Any = None
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    early: bool = False
    keep_open: bool = False
    drop: bool = False

    def content(self, seen: Seen) -> bytes:
        if self.body is not None:
            return self.body
        return json.dumps(self.value(seen) if callable(self.value) else self.value).encode()


Script = Callable[[Seen], Answer]


class Stub:
    """What the tests see of the server."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._script: Script = lambda seen: Answer()
        self.url = ""
        self.release = threading.Event()
        """Lets go of handlers that keep a connection open after an early answer."""

    @property
    def host(self) -> str:
        return f"{self.url}/api/v2beta"

    def answer(self, *answers: Answer) -> None:
        waiting = list(answers)
        self._script = lambda seen: waiting.pop(0) if len(waiting) > 1 else waiting[0]

    def decide(self, script: Script) -> None:
        self._script = script

    def script(self, seen: Seen) -> Answer:
        return self._script(seen)

    @property
    def targets(self) -> list[str]:
        return [f"{seen.method} {seen.target}" for seen in self.seen]


class Handler(BaseHTTPRequestHandler):
    stub: Stub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def handle_any(self) -> None:
        seen = Seen(self.command, self.path, dict(self.headers.items()))
        self.stub.seen.append(seen)
        answer = self.stub.script(seen)
        if not answer.early:
            self.read_body(seen)
        if not answer.drop:
            self.reply(answer, seen)
        if answer.keep_open:
            self.stub.release.wait(30)
        self.close_connection = answer.early or answer.drop or self.close_connection

    def read_body(self, seen: Seen) -> None:
        left = int(seen.headers.get("Content-Length", "0"))
        digest = hashlib.sha256()
        while left:
            block = self.rfile.read(min(left, 1 << 16))
            if not block:
                break
            left -= len(block)
            seen.length += len(block)
            seen.body = (seen.body + block)[:KEPT] if len(seen.body) < KEPT else seen.body
            digest.update(block)
        seen.sha256 = digest.hexdigest()

    def reply(self, answer: Answer, seen: Seen) -> None:
        content = answer.content(seen)
        self.send_response(answer.status)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(content))}
        for name, value in (headers | answer.headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()

    do_GET = do_POST = do_PATCH = do_DELETE = do_HEAD = handle_any


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Stub]:
    stub = Stub()

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that goes away is part of the tests."""

    server = Server(("127.0.0.1", 0), type("StubHandler", (Handler,), {"stub": stub}))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    stub.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        stub.release.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def package(name: str = "my-app", version: str = "1.0", **fields: Any) -> dict[str, Any]:
    """A package as the API writes it."""
    return {
        "name": name,
        "version": version,
        "packageId": f"{name}-{version}",
        "size": 3,
        "hashes": {"sha256": hashlib.sha256(b"abc").hexdigest()},
        "packageSource": "targets.json",
        "pkgType": "BINARY",
        "hardwareIds": ["my-board"],
        "createdAt": "2026-01-02T03:04:05Z",
        "uri": None,
        "proprietaryMeta": {},
        "comment": None,
    } | fields


def page(*packages: dict[str, Any], total: int | None = None, offset: int = 0, limit: int = 50) -> Answer:
    count = len(packages) if total is None else total
    return Answer(value={"values": list(packages), "total": count, "offset": offset, "limit": limit})


def error(status: int, msg: str, code: str = "some_code", **headers: str) -> Answer:
    value = {
        "msg": msg,
        "code": code,
        "description": None,
        "cause": None,
        "errorId": "0d8ef6ec-3f2c-4a39-9c2e-9a1a5c8a1f00",
    }
    return Answer(status, value, headers={name.replace("_", "-"): text for name, text in headers.items()})
