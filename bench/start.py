"""How long a server takes from its command to its first answer, and the memory it then holds while idle.

Memory is that of all its processes (the main one, one worker, what Python starts beside them): PSS, in
which a page that several share counts once, is what the machine has to find for them. RSS counts it for each.
"""

import time
from pathlib import Path
from statistics import median

from bench import memory, quiet
from bench.figures import Figure
from bench.ground import Ground
from harness import Server, free_port

ROUNDS = 5
IDLE_SECONDS = 3.0
PATIENCE = 10.0
MIB = 1024 * 1024


def run(ground: Ground) -> list[Figure]:
    fresh, again, resident, proportional = [], [], [], []
    for number in range(ROUNDS):
        data = ground.directory / f"start-{number}"
        fresh.append(_start(data)[0])
        seconds, rss, pss = _start(data)
        again.append(seconds)
        resident.append(rss / MIB)
        proportional.append(pss / MIB)
    return [
        Figure("first start to first answer", median(fresh), "s", at_most=2),
        Figure("next start to first answer", median(again), "s", at_most=2),
        Figure("memory while idle (PSS)", median(proportional), "MiB", at_most=120),
        Figure("memory while idle, shared pages counted for each process (RSS)", median(resident), "MiB"),
    ]


def _start(data: Path) -> tuple[float, int, int]:
    """Seconds to the first answer, then RSS and PSS."""
    quiet.wait(PATIENCE)
    server = Server(data, free_port(), ("--workers", "1"))
    started = time.perf_counter()
    server.start()
    seconds = time.perf_counter() - started
    try:
        time.sleep(IDLE_SECONDS)
        pids = memory.processes_of(server.process.pid)
        return seconds, memory.resident_bytes(pids), memory.proportional_bytes(pids)
    finally:
        server.stop()
