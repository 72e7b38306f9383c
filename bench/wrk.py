"""Load by wrk, on one thread, and its report as numbers."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True, slots=True)
class Load:
    """Requests per second, and the milliseconds that 99 of 100 answers stayed within."""

    rate: float
    p99: float


def load(
    url: str,
    *script: str | Path,
    headers: tuple[str, ...] = (),
    connections: int,
    seconds: int,
) -> Load:
    """`script` is a Lua file and its arguments. Raises RuntimeError when any answer was an error."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for header in headers:
        command += ["-H", header]
    command += [*(["-s", str(script[0])] if script else []), url, *map(str, script[1:])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"errors under load of {url}:\n{done.stdout}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", done.stdout)
    return Load(float(rate[1]), float(p99[1]) * _UNITS[p99[2]])
