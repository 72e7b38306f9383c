"""`python -m bench [NAME...] [--json FILE]`: run benchmarks, print one table; exit code 1 on a miss."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import (
    devices,
    download,
    large,
    objects,
    offload,
    page,
    publish,
    replicas,
    search,
    sources,
    start,
    timestamp,
    upload,
)
from bench.figures import Figure, table
from bench.ground import Ground, MissingTool

BENCHMARKS: dict[str, Callable[[Ground], list[Figure]]] = {
    "start": start.run,
    "upload": upload.run,
    "objects": objects.run,
    "publish": publish.run,
    "large": large.run,
    "download": download.run,
    "offload": offload.run,
    "timestamp": timestamp.run,
    "devices": devices.run,
    "replicas": replicas.run,
    "page": page.run,
    "search": search.run,
    "sources": sources.run,
}


def main() -> int:
    options = _options()
    results: list[tuple[str, Figure]] = []
    options.directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        ground = Ground(Path(directory))
        try:
            for name in options.names or BENCHMARKS:
                results += _run(name, ground)
        finally:  # what was measured is told although something fails
            print(table(results))
            if options.json:
                rows = [{"benchmark": name, **figure.as_json()} for name, figure in results]
                options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return int(any(figure.verdict == "MISS" for _, figure in results))


def _run(name: str, ground: Ground) -> list[tuple[str, Figure]]:
    started = time.monotonic()
    print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
    ground.begin(name)
    try:
        figures = BENCHMARKS[name](ground)
    except MissingTool as missing:
        sys.exit(f"\n{missing}")
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    return [(name, figure) for figure in figures]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path(".cache/bench"),
        help="where to work; its file system is what gets measured (default %(default)s)",
    )
    options = parser.parse_args()
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main())
