"""Clients over connections that stay open, and what several of them do at once."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from urllib.parse import quote

from harness import Server

TIMEOUT = 120


class Client:
    """One connection; use it from one thread."""

    def __init__(self, server: Server) -> None:
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)
        self._token = server.token

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def post(self, path: str, body: bytes, kind: str = "application/octet-stream") -> bytes:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind}
        self._connection.request("POST", path, body=body, headers=headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} for POST {path}: {content[:300]!r}")
        return content

    def upload(self, name: str, version: str, body: bytes, hardware: str = "docker-compose") -> bytes:
        return self.post(upload_path(name, version, hardware), body)

    def add_reference(self, entry: dict[str, object]) -> bytes:
        return self.post(
            "/api/otarium/v1/packages/references", json.dumps(entry).encode(), "application/json"
        )


def upload_path(name: str, version: str, hardware: str = "docker-compose") -> str:
    query = f"name={quote(name)}&version={quote(version)}&hardwareId={hardware}&targetFormat=BINARY"
    return f"/api/v2beta/packages?{query}"


def together(server: Server, clients: int, work: Iterator[Callable[[Client], object]]) -> float:
    """Let `clients` connections do all the work; the seconds it took. Raises the first failure."""
    taking = threading.Lock()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with Client(server) as client:
                while not failures:
                    with taking:
                        job = next(work, None)
                    if job is None:
                        return
                    job(client)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run) for _ in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return time.perf_counter() - started
