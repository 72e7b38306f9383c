"""10,000 devices that poll one server with two workers, which shares the machine with all of them.

Every device has an address of its own (in 127.0.0.0/8) and asks for its timestamp every ten seconds, as
aktualizr does unless told otherwise, with If-None-Match. A package is published halfway; then each asks for
root, snapshot and targets as well. Once over connections that stay open, once with a new connection for
each request. A poll counts from the moment it was due, not from when this program got to it.
"""

import asyncio
import random
import re
import resource
import time
from statistics import quantiles

import uvloop

from bench import quiet
from bench.figures import Figure
from bench.ground import Ground, MissingTool
from harness import Server, http, upload

DEVICES = 10_000
PERIOD = 10.0
PERIODS = 4
PATIENCE = 20.0
TIMESTAMP = "/repo/timestamp.json"
NEWS = ("/repo/2.root.json", "/repo/snapshot.json", "/repo/targets.json")
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)")
_ETAG = re.compile(rb"\r\netag: ([^\r]+)")


def run(ground: Ground) -> list[Figure]:
    _require_files(DEVICES + 1000)
    figures = []
    with ground.server("devices", workers=2) as server:
        upload(server, "devices", "first", b"hello")
        for title, stays in (("connections stay", True), ("a connection each", False)):
            quiet.wait(PATIENCE)
            fleet = _Fleet(server, stays, _etag(server))
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(fleet.live())
            percentiles = quantiles(fleet.seconds, n=100)
            rate = len(fleet.seconds) / PERIOD / PERIODS
            figures += [
                Figure(f"{DEVICES:,} devices, {title}", rate, "requests/s"),
                Figure(f"{title}: half within", percentiles[49] * 1000, "ms"),
                Figure(f"{title}: 99 of 100 within", percentiles[98] * 1000, "ms", at_most=200),
                Figure(f"{title}: failures", fleet.failures, at_most=0),
            ]
    return figures


def _etag(server: Server) -> bytes:
    return http(server, "GET", TIMESTAMP, token=None).headers["etag"].encode()


def _require_files(count: int) -> None:
    """The server inherits the limit; either side holds one file for each connection."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < count:
        raise MissingTool(f"{DEVICES} connections need more open files: ulimit -n {count}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Fleet:
    def __init__(self, server: Server, stays: bool, etag: bytes) -> None:
        self.server = server
        self.stays = stays
        self.etag = etag
        self.seconds: list[float] = []
        self.failures = 0

    async def live(self) -> None:
        chance = random.Random(1)
        begin = asyncio.get_running_loop().time() + 1
        devices = [_Device(self, number) for number in range(DEVICES)]
        lives = [device.live(begin + chance.random() * PERIOD) for device in devices]
        await asyncio.gather(self._publish(), *lives)

    async def _publish(self) -> None:
        await asyncio.sleep(PERIOD * PERIODS / 2)
        await asyncio.to_thread(upload, self.server, "devices", str(time.time_ns()), b"news")


class _Device:
    def __init__(self, fleet: _Fleet, number: int) -> None:
        self._fleet = fleet
        self._address = f"127.1.{number // 250}.{number % 250 + 1}"
        self._etag = fleet.etag
        self._connection: _Connection | None = None

    async def live(self, due: float) -> None:
        for _ in range(PERIODS):
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            try:
                await self._poll(due)
            except OSError:
                self._fleet.failures += 1
                self._leave()
            due += PERIOD
        self._leave()

    async def _poll(self, due: float) -> None:
        if await self._get(TIMESTAMP, due) == 200:
            for path in NEWS:
                await self._get(path, asyncio.get_running_loop().time())

    async def _get(self, path: str, due: float) -> int:
        loop = asyncio.get_running_loop()
        if self._connection is None:
            local = (self._address, 0)
            port = self._fleet.server.port
            _, self._connection = await loop.create_connection(
                _Connection, "127.0.0.1", port, local_addr=local
            )
        request = [f"GET {path} HTTP/1.1", "Host: bench"]
        if path == TIMESTAMP:
            request.append(f"If-None-Match: {self._etag.decode()}")
        if not self._fleet.stays:
            request.append("Connection: close")
        status, etag = await self._connection.ask("\r\n".join([*request, "", ""]).encode())
        self._fleet.seconds.append(loop.time() - due)
        if path == TIMESTAMP:
            self._etag = etag
        if not self._fleet.stays:
            self._leave()
        if status not in (200, 304) and (path, status) != (NEWS[0], 404):
            self._fleet.failures += 1
        return status

    def _leave(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Connection(asyncio.Protocol):
    """One request at a time; the answer is its status and its ETag."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._received = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        if self._transport.is_closing():
            raise ConnectionResetError("closed while idle")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if end and len(body) >= (int(length[1]) if length else 0):
            etag = _ETAG.search(head)
            self._received = b""
            self._answer.set_result((int(head[9:12]), etag[1] if etag else b""))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("closed before the answer"))

    def close(self) -> None:
        self._transport.close()
