"""The HTTP server without Otarium: throws request bodies away, answers 424 bytes.

What it does is the most that Otarium could do on it. `python -m bench.bare PORT`.
"""

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

from granian.constants import Interfaces
from granian.server import MPServer

from harness import free_port

_BODY = {"type": "http.response.body", "body": b"." * 424}
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"424")]
_START = {"type": "http.response.start", "status": 200, "headers": _HEADERS}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    more = scope["method"] == "POST"
    while more:
        more = (await receive()).get("more_body", False)
    await send(_START)
    await send(_BODY)


def main() -> None:
    """With the settings of `otarium.server`."""
    multiprocessing.set_start_method("spawn", force=True)
    MPServer(
        "bench.bare:app",
        address="127.0.0.1",
        port=int(sys.argv[1]),
        interface=Interfaces.ASGI,
        workers=1,
        websockets=False,
        log_enabled=False,
    ).serve()


@contextmanager
def running() -> Iterator[int]:
    """Its port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.bare", str(port)])
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise RuntimeError("the HTTP server did not start")


if __name__ == "__main__":
    main()
