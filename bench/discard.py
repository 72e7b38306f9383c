"""The same HTTP server, reading request bodies and throwing them away: `python -m bench.discard PORT`."""

import multiprocessing
import sys
from typing import Any

from granian.constants import Interfaces
from granian.server import MPServer


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    headers = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def main() -> None:
    """With the settings of `otarium.server`."""
    multiprocessing.set_start_method("spawn", force=True)
    MPServer(
        "bench.discard:app",
        address="127.0.0.1",
        port=int(sys.argv[1]),
        interface=Interfaces.ASGI,
        workers=1,
        websockets=False,
        log_enabled=False,
    ).serve()


if __name__ == "__main__":
    main()
