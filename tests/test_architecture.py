"""The doors between the rooms, held by reading the imports."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
OTARIUM = SOURCE / "otarium"

# room -> the rooms it may import; a room may always import itself
DOORS = {
    "domain": set(),
    "services": {"domain"},
    "adapters": {
        "domain",
        *("services.ports", "services.ports_blobs", "services.ports_sources", "services.ports_watch"),
    },
    "web": {"domain", "services"},
    "settings": set(),
    "logs": {"services.ports_watch"},
    "running": {"domain"},
    "backends": {"services", "adapters", "settings"},
    "background": {"services", "backends", "bootstrap", "web"},
    "bootstrap": {"domain", "services", "adapters", "web", "settings", "backends", "background", "running"},
    "banner": {"services", "settings"},
    "processes": {"domain", "web", "settings", "bootstrap", "banner", "logs", "running"},
    "server": {"domain", "settings", "processes", "logs", "running"},
    "cli": {"domain", "services", "settings", "bootstrap", "server", "running"},
    "__main__": {"cli"},
}
PURE = {"asyncio", "socket", "sqlalchemy", "litestar", "granian", "threading", "time", "os", "pathlib"}
MOST_LINES = 300
MOST_LINES_OF_A_FUNCTION = 60


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if path.parent.name != "versions")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(path: Path) -> str:
    return path.relative_to(OTARIUM).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_and_its_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            assert node.end_lineno - node.lineno < MOST_LINES_OF_A_FUNCTION, node.name


@pytest.mark.parametrize(
    "path", sorted(OTARIUM.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE))
)
def test_a_room_is_entered_by_its_doors_only(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    for name in imports(path):
        inside = name.removeprefix("otarium.")
        if inside == name or inside.startswith("__version__"):
            continue
        allowed = DOORS[room] | {room}
        assert any(inside == door or inside.startswith(f"{door}.") for door in allowed), (
            f"{room} imports {name}"
        )


def test_the_domain_is_pure() -> None:
    for path in (OTARIUM / "domain").glob("*.py"):
        assert not {name.partition(".")[0] for name in imports(path)} & PURE, path.name


def test_the_client_and_the_server_share_no_code() -> None:
    for path in (SOURCE / "torizon_io_api").rglob("*.py"):
        assert not any(name.startswith("otarium") for name in imports(path)), path
    for path in OTARIUM.rglob("*.py"):
        if room_of(path) != "cli":
            assert not any(name.startswith("torizon_io_api") for name in imports(path)), path


def test_only_the_clock_and_the_bootstrap_read_the_time() -> None:
    """Services take a Clock; what measures durations or file ages is named here."""
    measuring = {"leases.py", "metadata.py", "offloading.py", "publishing.py", "renewal.py", "watching.py"}
    for path in (OTARIUM / "services").glob("*.py"):
        if path.name not in measuring:
            assert "time" not in imports(path), path.name
