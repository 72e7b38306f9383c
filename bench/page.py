"""Pages of 50 out of 10,000 packages, another one with every request, over 8 connections of wrk.

The server has one core for itself, and the load another one where there are two.
"""

from pathlib import Path

from bench import cores, quiet, wrk
from bench.figures import Figure
from bench.ground import Ground, require_tools

SECONDS = 5
CONNECTIONS = 8
PATIENCE = 10.0
TARGET = 1_500
SCRIPT = Path(__file__).with_name("page.lua")
KINDS = {
    "any": "any offset, newest first",
    "sorted": "any offset, by name",
    "name": "nameContains, 200 match",
    "hardware": "hardwareIds, 2,500 match",
}


def run(ground: Ground) -> list[Figure]:
    require_tools("wrk")
    figures = []
    with ground.seeded_server("page") as server:
        header = f"Authorization: Bearer {server.token}"
        for kind, title in KINDS.items():
            quiet.wait(PATIENCE)
            load = {"headers": (header,), "connections": CONNECTIONS, "seconds": SECONDS}
            with cores.split(server.process.pid):
                seen = wrk.load(server.url, SCRIPT, kind, **load)
            figures.append(Figure(f"pages of 50: {title}", seen.rate, "pages/s", at_least=TARGET))
            figures.append(Figure(f"pages of 50: {title}, 99 of 100 within", seen.p99, "ms"))
    return figures
