"""Many packages through the ordinary API, without bytes: references, by many clients at once."""

import hashlib
from collections.abc import Callable, Iterator

from bench.clients import Client, together
from harness import Server

CLIENTS = 64
HARDWARE = ("verdin-imx8mp", "apalis-imx8", "colibri-imx7d", "docker-compose")
KINDS = ("firmware", "application", "bootloader", "configuration", "container")


def entry(number: int) -> dict[str, object]:
    """A package like those of a real fleet: five kinds of names, 20 versions each."""
    name = f"{KINDS[number % len(KINDS)]}-{number // 20:05d}"
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return {
        "name": name,
        "version": f"1.{number % 20}.0",
        "hardwareIds": [HARDWARE[number % len(HARDWARE)]],
        "targetFormat": "BINARY",
        "sha256": digest,
        "length": 1024 + number,
        "uri": f"http://127.0.0.1/{digest}",
    }


def seed(server: Server, packages: int) -> float:
    """The seconds it took."""

    def work() -> Iterator[Callable[[Client], object]]:
        for number in range(packages):
            yield lambda client, one=entry(number): client.add_reference(one)

    return together(server, CLIENTS, work())
