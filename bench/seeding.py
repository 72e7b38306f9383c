"""Many packages through the ordinary API, without bytes: references, by many clients at once."""

import hashlib
from collections.abc import Callable, Iterator

from bench.clients import Client, together
from harness import Server

CLIENTS = 64
HARDWARE = ("verdin-imx8mp", "apalis-imx8", "colibri-imx7d", "docker-compose")
KINDS = ("firmware", "application", "bootloader", "configuration", "container")


def entry(number: int) -> dict[str, object]:
    """One of 20 versions of its name; 100 numbers are one name of each kind."""
    name = f"{KINDS[number % 5]}-{number // 100:03d}"
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return {
        "name": name,
        "version": f"1.{number // 5 % 20}.0",
        "hardwareIds": [HARDWARE[number % 4]],
        "targetFormat": "BINARY",
        "sha256": digest,
        "length": 1024 + number,
        "uri": f"http://127.0.0.1/{digest}",
    }


def seed(server: Server, packages: int) -> float:
    """The seconds it took."""

    def work() -> Iterator[Callable[[Client], object]]:
        for number in range(packages):
            yield lambda client, one=number: client.add_reference(entry(one))

    return together(server, CLIENTS, work())
