"""`python -m prove [NAME...] [--rounds N] [--seed N]`: run proofs; exit code 1 when one fails."""

import argparse
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path

from prove import full_disk, kills, replicas, restart, rolling, same_id, soak, sweep
from prove.claims import Disproved, Impossible, Proof, Setup

PROOFS: dict[str, Proof] = {
    "kills": kills.prove,
    "same-id": same_id.prove,
    "sweep": sweep.prove,
    "full-disk": full_disk.prove,
    "restart": restart.prove,
    "replicas": replicas.prove,
    "rolling": rolling.prove,
    "soak": soak.prove,
    "memory": soak.prove_memory,
}


def main() -> int:
    options = _options()
    print(f"seed {options.seed}", flush=True)
    options.directory.mkdir(parents=True, exist_ok=True)
    failed = 0
    for name in options.names or PROOFS:
        with tempfile.TemporaryDirectory(dir=options.directory.resolve()) as directory:
            failed += not _holds(name, Setup(Path(directory), options.seed, options.rounds))
    return int(failed > 0)


def _holds(name: str, setup: Setup) -> bool:
    started = time.monotonic()
    try:
        lines, word = PROOFS[name](setup), "PROVED"
    except Impossible as reason:
        lines, word = [str(reason)], "FAILED" if os.environ.get("CI") == "true" else "SKIPPED"
    except Disproved as problem:
        lines, word = [str(problem)], "FAILED"
    print(f"{word} {name} ({time.monotonic() - started:.0f} s)")
    for line in lines:
        print(f"  {line}")
    sys.stdout.flush()
    return word != "FAILED"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="prove", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PROOFS)}; default all")
    parser.add_argument(
        "--rounds",
        type=int,
        default=0,
        help="kills, races, restarts; seconds of `sweep`, minutes of `soak`, hours of load of `memory`",
    )
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--directory", type=Path, default=Path(".cache/prove"), help="where to work")
    options = parser.parse_args()
    unknown = set(options.names) - set(PROOFS)
    if unknown:
        parser.error(f"there is no proof {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main())
