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


def load(url: str, *options: str, connections: int, seconds: int, script: Path | None = None) -> Load:
    """Raises RuntimeError when any answer was an error."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *options]
    if script is not None:
        command += ["-s", str(script)]
    done = subprocess.run([*command, url], capture_output=True, text=True, check=True, timeout=seconds + 30)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"errors under load of {url}:\n{done.stdout}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", done.stdout)
    return Load(float(rate[1]), float(p99[1]) * _UNITS[p99[2]])
