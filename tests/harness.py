"""A real server in a process group of its own, on a free loopback port, and raw requests to it.

`running_server` is the one way to get one; `stop`, `start` and the two `kill`s are for tests about restarts.
"""

import contextlib
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

READY_SECONDS = 60
STOP_SECONDS = 30
COMMAND_SECONDS = 30
PATIENCE = 10.0
"""Seconds that a machine with other work to do may add to what is promised. What a test guards against takes
longer than both, or never ends; how quick things are is for `bench` to say."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]  # lower-case names; of repeated ones the last
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    data_dir: Path
    port: int
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    token: str = ""  # reads and writes packages

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> str:
        return self.url + "/api/v2beta"

    @property
    def api_v2(self) -> str:
        return self.url + "/api/v2"

    @property
    def repo(self) -> str:
        return self.url + "/repo"

    @property
    def tuf(self) -> str:
        return self.url + "/tuf"

    @property
    def client_id(self) -> str:
        return self._client[0]

    @property
    def client_secret(self) -> str:
        return self._client[1]

    @cached_property
    def _client(self) -> tuple[str, str]:
        """Made when first asked for: an operator's command costs a process, and few tests need it."""
        return self.create_client()

    @property
    def log(self) -> Path:
        return self.data_dir.with_name(self.data_dir.name + ".log")

    def start(self) -> None:
        self.begin()
        self.wait_until_ready()

    def begin(self) -> None:
        command = [*self._command("serve"), "--host", "127.0.0.1", "--port", str(self.port), *self.args]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                start_new_session=True,
            )

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not self._is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                code = self.process.poll()
                self.kill_group()
                raise RuntimeError(f"not ready (exit code {code}); its log ends:\n{self.log_tail()}")
            time.sleep(0.05)

    def stop(self) -> int:
        """SIGTERM, as an init system would; the exit code. Whatever is left of the group is killed."""
        self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        finally:
            self.kill_group()

    def kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_main(self) -> None:
        """The main process alone; its workers have to notice by themselves."""
        self.process.kill()
        self.process.wait()

    def run(
        self, *words: str, check: bool = True, seconds: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """An operator's command on the same data directory, such as `token create`."""
        return subprocess.run(
            self._command(*words),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=check,
        )

    def create_token(self, *options: str, name: str = "test") -> str:
        return self.run("token", "create", "--name", name, *options).stdout.strip()

    def create_client(self, *options: str, name: str = "test") -> tuple[str, str]:
        made = json.loads(self.run("client", "create", name, *options, "--json").stdout)
        return made["client_id"], made["client_secret"]

    def log_tail(self, size: int = 4000) -> str:
        return self.log.read_text(errors="replace")[-size:] if self.log.exists() else "(no log)"

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "otarium", *words, "--data-dir", str(self.data_dir)]

    def _environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("OTARIUM_")}
        return clean | {"PYTHONUNBUFFERED": "1"} | dict(self.env)

    def _is_ready(self) -> bool:
        try:
            return http(self, "GET", "/health/ready", token=None, timeout=5).status == 200
        except (OSError, HTTPException):
            return False


@contextlib.contextmanager
def running_server(
    data_dir: Path, *args: str, env: Mapping[str, str] | None = None, workers: int | None = None
) -> Iterator[Server]:
    extra = ("--workers", str(workers)) if workers else ()
    server = Server(Path(data_dir), free_port(), (*args, *extra), env or {})
    try:
        server.start()
        server.token = server.create_token()
        yield server
    finally:
        if server.process and server.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.stop()
        elif server.process:
            server.kill_group()


def free_port() -> int:
    """Below the ports that the kernel gives to connections: one of those would take it meanwhile."""
    for port in random.SystemRandom().sample(range(10_240, 32_768), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("0.0.0.0", port))
            return port
    raise RuntimeError("no port is free")


def http(
    server: Server,
    method: str,
    path: str,
    *,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    token: str | None = "",
    source: str | None = None,
    timeout: float = 30,
) -> Answer:
    """One request over a new connection, its path as it stands. `token`: "" the server's own, None none."""
    bearer = server.token if token == "" else token
    sent = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    address = (source, 0) if source else None
    connection = HTTPConnection("127.0.0.1", server.port, timeout=timeout, source_address=address)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        if isinstance(body, bytes) and "Content-Length" not in (headers or {}):
            sent["Content-Length"] = str(len(body))
        for name, value in {**sent, **(headers or {})}.items():
            connection.putheader(name, value)
        connection.endheaders()
        if body is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before the body
                connection.send(body)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())
    finally:
        connection.close()


def api(server: Server, method: str, path: str, *, json_body: Any = None, **query: Any) -> Answer:
    """A call below /api/v2beta; query values may be lists."""
    text = urllib.parse.urlencode(query, doseq=True, quote_via=urllib.parse.quote)
    headers, body = {}, None
    if json_body is not None:
        headers, body = {"Content-Type": "application/json"}, json.dumps(json_body).encode()
    return http(server, method, f"/api/v2beta{path}{'?' + text if text else ''}", body=body, headers=headers)


def package_path(package_id: str) -> str:
    return "/packages/" + urllib.parse.quote(package_id, safe="")


def upload(
    server: Server,
    name: str,
    version: str,
    body: bytes,
    hardware_ids: Sequence[str] = ("docker-compose",),
    *,
    target_format: str = "BINARY",
    headers: Mapping[str, str] | None = None,
    status: int = 200,
) -> Any:
    """The answer's JSON, after a check of its status."""
    query = [("name", name), ("version", version), ("targetFormat", target_format)]
    query += [("hardwareId", hardware_id) for hardware_id in hardware_ids]
    path = "/api/v2beta/packages?" + urllib.parse.urlencode(query, quote_via=urllib.parse.quote)
    kind = {"Content-Type": "application/octet-stream"}
    answer = http(server, "POST", path, body=body, headers={**kind, **(headers or {})})
    assert answer.status == status, f"{answer.status} instead of {status}: {answer.body[:500]!r}"
    return answer.json


def add_reference(server: Server, **entry: Any) -> Answer:
    """A package whose bytes live elsewhere."""
    body = {"hardwareIds": ["docker-compose"], "targetFormat": "BINARY"} | entry
    path, kind = "/api/otarium/v1/packages/references", {"Content-Type": "application/json"}
    return http(server, "POST", path, body=json.dumps(body).encode(), headers=kind)


def package_kept_elsewhere(server: Server, name: str, body: bytes = b"far away") -> str:
    """The id of a reference to bytes that this very server keeps under another id."""
    blob = upload(server, "elsewhere", hashlib.sha256(body).hexdigest()[:12], body)
    sha256 = blob["hashes"]["sha256"]
    uri = f"{server.repo}/targets/{sha256}.{blob['packageId']}"
    answer = add_reference(server, name=name, version="1", sha256=sha256, length=len(body), uri=uri)
    assert answer.status == 200, answer.body
    return answer.json["packageId"]
