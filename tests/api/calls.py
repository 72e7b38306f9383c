"""Requests to the Packages API as clients write them, over a library or byte by byte."""

import contextlib
import json
import socket
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from harness import Answer, Server, http, package_path

EVERYTHING = 2**63 - 1
ERROR_MEMBERS = {"msg", "code", "description", "cause", "errorId"}
JSON_BODY = {"Content-Type": "application/json"}


TOKEN_PATH = "/auth/realms/ota-users/protocol/openid-connect/token"


def token_for(server: Server, scope: str, path: str = TOKEN_PATH) -> str:
    """An access token with this scope alone."""
    fields = {"grant_type": "client_credentials", "scope": scope}
    fields |= {"client_id": server.client_id, "client_secret": server.client_secret}
    answer = http(server, "POST", path, body=urlencode(fields).encode(), token=None)
    assert answer.status == 200, answer.body
    return str(answer.json["access_token"])


def upload_path(
    name: str, version: str, hardware_ids: Sequence[str] = ("docker-compose",), **more: str
) -> str:
    fields = {"name": name, "version": version, "targetFormat": "BINARY"} | more
    pairs = [*fields.items(), *(("hardwareId", one) for one in hardware_ids)]
    return "/api/v2beta/packages?" + urlencode(pairs, quote_via=quote)


def post(
    server: Server,
    name: str,
    version: str,
    body: bytes,
    hardware_ids: Sequence[str] = ("docker-compose",),
    *,
    headers: Mapping[str, str] | None = None,
    **more: str,
) -> Answer:
    """An upload whose answer the test judges."""
    return http(server, "POST", upload_path(name, version, hardware_ids, **more), body=body, headers=headers)


def package(server: Server, package_id: str) -> Any:
    answer = http(server, "GET", "/api/v2beta" + package_path(package_id))
    assert answer.status == 200, answer.body
    return answer.json


def patch(server: Server, package_id: str, change: Any, **headers: str) -> Answer:
    """`change` is sent as it stands when it is bytes, else as JSON; `If_Match=` becomes `If-Match:`."""
    body = change if isinstance(change, bytes) else json.dumps(change).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    path = "/api/v2beta" + package_path(package_id)
    return http(server, "PATCH", path, body=body, headers=JSON_BODY | named)


def delete(server: Server, package_id: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http(server, "DELETE", "/api/v2beta" + package_path(package_id), headers=named)


def page(server: Server, query: str = "") -> Any:
    answer = http(server, "GET", "/api/v2beta/packages" + ("?" + query if query else ""))
    assert answer.status == 200, answer.body
    return answer.json


def ids(server: Server, query: str = "") -> list[str]:
    return [one["packageId"] for one in page(server, query)["values"]]


def refused(answer: Answer, status: int, code: str | None = None, *words: str) -> Any:
    """The answer is an error of the one shape; its message has the words. Answers its JSON."""
    assert answer.status == status, f"{answer.status} instead of {status}: {answer.body[:500]!r}"
    assert answer.headers["content-type"].startswith("application/json")
    error = answer.json
    assert set(error) == ERROR_MEMBERS, error
    assert error["msg"] and isinstance(error["msg"], str)
    assert str(uuid.UUID(error["errorId"])) == error["errorId"]
    assert code is None or error["code"] == code, error
    for word in words:
        assert word in error["msg"], error
    return error


class Wire:
    """One connection, byte by byte."""

    def __init__(self, server: Server, seconds: float, narrow: int | None) -> None:
        self.socket = socket.socket()
        if narrow:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, narrow)
        self.socket.settimeout(seconds)
        self.socket.connect(("127.0.0.1", server.port))
        self.received = b""

    def send(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it was refused meanwhile
            self.socket.sendall(data)

    def read_head(self) -> tuple[int, dict[str, str]]:
        """The next status line and headers; status 0 when the server closes instead."""
        while b"\r\n\r\n" not in self.received:
            data = self._receive()
            if not data:
                return 0, {}
            self.received += data
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return int(first.split()[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}

    def read_answer(self, *, after_continue: bool = True) -> Answer:
        """An answer with a Content-Length; 100 Continue is passed over, or is the answer itself."""
        status, headers = self.read_head()
        while status == 100 and after_continue:
            status, headers = self.read_head()
        length = int(headers.get("content-length", 0))
        while len(self.received) < length and (data := self._receive()):
            self.received += data
        body, self.received = self.received[:length], self.received[length:]
        return Answer(status, headers, body)

    def is_closed(self) -> bool:
        """Waits for the server to close; whatever else arrives is dropped."""
        try:
            while self._receive():
                pass
        except TimeoutError:
            return False
        return True

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(65536)
        except ConnectionResetError:
            return b""


@contextlib.contextmanager
def wire(server: Server, seconds: float = 20, narrow: int | None = None) -> Iterator[Wire]:
    """`narrow`: the bytes of the receiving buffer, for a reader that is slow."""
    connection = Wire(server, seconds, narrow)
    with connection.socket:
        yield connection


def head_of(
    server: Server, method: str, path: str, headers: Mapping[str, object], token: str | None = ""
) -> bytes:
    """The head of a request, to be sent over a `Wire`. `token`: "" the server's own, None none."""
    bearer = server.token if token == "" else token
    lines = {"Host": f"127.0.0.1:{server.port}"} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
    text = "".join(f"{name}: {value}\r\n" for name, value in {**lines, **headers}.items())
    return f"{method} {path} HTTP/1.1\r\n{text}\r\n".encode("latin-1")
