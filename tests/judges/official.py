"""The official client releases, each in a virtual environment of its own, and their full round trip.

Release 0.0.6 cannot read a page that holds a package with proprietaryMeta: run it where no test leaves one.
"""

import json
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BASES = {"0.0.1": "/api/v2beta", "0.0.5": "/api/v2beta", "0.0.6": "/api/v2", "0.0.7": "/api/v2beta"}
VERSIONS = tuple(BASES)

_HERE = Path(__file__).resolve().parent
_REQUIREMENTS = _HERE / "official_requirements.txt"
_SCRIPT = _HERE / "official_round_trip.py"
_CACHE = _HERE.parents[1] / ".judges"
_SECONDS = 120


@dataclass(frozen=True)
class Report:
    passed: list[str]
    failed: dict[str, str]  # check -> what went wrong
    exit_code: int


def round_trip(version: str, server_url: str, token: str) -> Report:
    """The whole journey with one release, against the base path that it was made for."""
    command = [str(prepare(version)), "-I", str(_SCRIPT), server_url + BASES[version], token]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise RuntimeError(f"no report, exit code {done.returncode}: {done.stderr[-2000:]}") from None
    assert report["client"] == version, report["client"]
    return Report(report["passed"], report["failed"], done.returncode)


def prepare(version: str) -> Path:
    """The environment's interpreter; made once and kept while its pins are the same."""
    home = _CACHE / f"official-{version}"
    python, marker = home / "bin" / "python", home / "complete"
    pins = _REQUIREMENTS.read_text() + sys.version
    if marker.exists() and marker.read_text() == pins and python.exists():
        return python
    venv.EnvBuilder(clear=True, symlinks=True, with_pip=False).create(home)
    wanted = ["--no-deps", "-r", str(_REQUIREMENTS), f"torizon-io-api=={version}"]
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", *wanted], check=True, stdin=subprocess.DEVNULL)
    marker.write_text(pins)
    return python
