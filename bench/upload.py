"""One upload of 5 GiB: the server's memory, and its rate beside the three things it cannot do without.

The limit is the slowest of: sha256 of the file in one thread, writing it durably, and the same HTTP
server reading the body and throwing it away. All take turns. Then 100 uploads of 256 MiB at once.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

from bench import bare, quiet
from bench.clients import upload_path
from bench.figures import Figure
from bench.ground import Ground
from bench.memory import Growth
from harness import Server, http

ROUNDS = 3
MIB = 1024 * 1024
SIZE = 5 * 1024 * MIB
AT_ONCE, SIZE_AT_ONCE = 100, 256 * MIB
TIMEOUT = 600
PATIENCE = 20.0


def run(ground: Ground) -> list[Figure]:
    source = ground.directory / "source"
    _write_random(source)
    rates: dict[str, list[float]] = {"upload": [], "hash": [], "write": [], "overlapped": [], "discard": []}
    growth = []
    swept = {"OTARIUM_DELETED_GRACE": "0", "OTARIUM_SWEEP_INTERVAL": "1"}
    with ground.server("upload", **swept) as server, bare.running() as discard_port:
        for number in range(ROUNDS):
            quiet.wait(PATIENCE)
            _mark(source, number)
            with Growth(server.process.pid) as memory:
                rates["upload"].append(rate(lambda n=number: _upload(server, source, n)))
            growth.append(memory.bytes)
            _forget(server, number)
            rates["hash"].append(rate(lambda: _hash(source)))
            rates["write"].append(rate(lambda: _write(source, ground.directory / "written")))
            rates["overlapped"].append(
                rate(lambda: _write(source, ground.directory / "written", overlapped=True))
            )
            rates["discard"].append(rate(lambda: post(discard_port, "/", source, "")))
    at_once = many_at_once(ground, source)
    source.unlink()
    middle = {name: median(values) for name, values in rates.items()}
    slowest = min(middle["hash"], middle["write"], middle["discard"])
    return [
        Figure("growth of the server's memory, worst of 3", max(growth) / MIB, "MiB", at_most=64),
        Figure("sha256 in one thread", middle["hash"], "MiB/s"),
        Figure("write and fsync", middle["write"], "MiB/s"),
        Figure("the same, overlapped", middle["overlapped"], "MiB/s"),
        Figure("read by the HTTP server and thrown away", middle["discard"], "MiB/s"),
        Figure("upload of 5 GiB", middle["upload"], "MiB/s"),
        Figure("upload to the slowest of the three", middle["upload"] / slowest, "x", at_least=0.85),
        *at_once,
    ]


def many_at_once(ground: Ground, source: Path) -> list[Figure]:
    with ground.server("uploads") as server:
        return at_once(server, source, SIZE_AT_ONCE)


def at_once(server: Server, source: Path, size: int) -> list[Figure]:
    """Different bytes in each, through one worker."""
    failures: list[BaseException] = []

    def send(number: int) -> None:
        path = upload_path("at-once", str(number))
        try:
            post(server.port, path, source, server.token, size, number.to_bytes(8, "big"))
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(AT_ONCE)]
    os.sync()
    started = time.perf_counter()
    with Growth(server.process.pid) as memory:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    seconds = time.perf_counter() - started
    if failures:
        raise failures[0]
    title = f"{AT_ONCE} uploads of {size // MIB} MiB at once"
    return [
        Figure(f"{title}: growth of memory", memory.bytes / MIB, "MiB", at_most=512),
        Figure("all of them together", AT_ONCE * size / MIB / seconds, "MiB/s"),
    ]


def _forget(server: Server, number: int) -> None:
    """The sweep takes the bytes of a deleted package after a moment."""
    http(server, "DELETE", f"/api/v2beta/packages/large-{number}")


def rate(action: Callable[[], object], size: int = SIZE) -> float:
    """MiB per second, after everything written before has reached the disk."""
    os.sync()
    started = time.perf_counter()
    action()
    return size / MIB / (time.perf_counter() - started)


def _write_random(path: Path) -> None:
    with path.open("wb") as file:
        for _ in range(SIZE // MIB):
            file.write(os.urandom(MIB))


def _mark(path: Path, number: int) -> None:
    """Make it another file, so that no upload meets the bytes of the one before."""
    with path.open("r+b") as file:
        file.write(number.to_bytes(8, "big"))


def _upload(server: Server, source: Path, number: int) -> None:
    post(server.port, upload_path("large", str(number)), source, server.token)


def post(port: int, path: str, source: Path, token: str, size: int = SIZE, instead: bytes = b"") -> None:
    """Send the file as it lies on the disk, other bytes `instead` of its first ones; the client costs as
    little as possible."""
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    connection.putrequest("POST", path)
    connection.putheader("Authorization", f"Bearer {token}")
    connection.putheader("Content-Length", str(size))
    connection.endheaders(instead or None)
    with source.open("rb") as file:
        connection.sock.sendfile(file, len(instead), size - len(instead))
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {answer.read()[:300]!r}")
    connection.close()


def _hash(source: Path) -> str:
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(source: Path, target: Path, *, overlapped: bool = False) -> None:
    """`overlapped`: the disk starts on each 16 MiB while the next are written."""
    with source.open("rb") as read, target.open("wb", buffering=0) as written:
        while chunk := read.read(16 * MIB):
            written.write(chunk)
            if overlapped:
                os.posix_fadvise(written.fileno(), 0, written.tell(), os.POSIX_FADV_DONTNEED)
        os.fsync(written.fileno())
    target.unlink()
