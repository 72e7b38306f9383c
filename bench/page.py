"""Pages of 50 out of 10,000 packages, another one with every request, over 8 connections of wrk.

The server has one core for itself, and the load another one where there are two. Medians of rounds in which
the kinds of pages take turns.
"""

from pathlib import Path
from statistics import median

from bench import cores, quiet, wrk
from bench.figures import Figure
from bench.ground import Ground, require_tools

ROUNDS = 5
SECONDS = 3
CONNECTIONS = 8
PATIENCE = 10.0
TARGET = 1_500
SCRIPT = Path(__file__).with_name("page.lua")
KINDS = {
    "any": "any offset, newest first",
    "sorted": "any offset, by name",
    "name": "nameContains, 200 match",
    "hardware": "hardwareIds, 2,500 match",
    "mixed": "all of these in turn, filters and orders drawn",
}


def run(ground: Ground) -> list[Figure]:
    require_tools("wrk")
    seen: dict[str, list[wrk.Load]] = {kind: [] for kind in KINDS}
    with ground.seeded_server("page") as server:
        header = f"Authorization: Bearer {server.token}"
        for kind in list(KINDS) * ROUNDS:
            quiet.wait(PATIENCE)
            with cores.split(server.process.pid):
                one = wrk.load(
                    server.url, SCRIPT, kind, headers=(header,), connections=CONNECTIONS, seconds=SECONDS
                )
            seen[kind].append(one)
    figures = []
    for kind, title in KINDS.items():
        rate, p99 = median(one.rate for one in seen[kind]), median(one.p99 for one in seen[kind])
        figures.append(Figure(f"pages of 50: {title}", rate, "pages/s", at_least=TARGET))
        figures.append(Figure(f"pages of 50: {title}, 99 of 100 within", p99, "ms"))
    return figures
