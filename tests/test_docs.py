"""The README is true to the letter: its commands run, one after another, and its links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import Server, free_port

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Looks like a checkout: the repository's scripts, examples and environment."""
    for name in ("scripts", "examples", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def test_the_five_minutes_work_as_written(directory: Path) -> None:
    server = Server(directory / "otarium-data", free_port())
    serve, *rest = [block.replace("8080", str(server.port)) for block in blocks("sh")]
    assert serve.strip() == "scripts/serve"
    (python,) = blocks("python")
    (directory / "example.py").write_text(python)
    server.start()
    try:
        script = "\n".join(["set -eu", *rest, f"{sys.executable} example.py"])
        done = subprocess.run(
            ["bash", "-c", script], cwd=directory, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "my-app-1.2.0" in done.stdout
        assert "all good" in done.stdout
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_every_setting_is_documented() -> None:
    from otarium import settings

    documented = (ROOT / "docs/operations.md").read_text()
    for group in (
        settings.StorageSettings,
        settings.HttpSettings,
        settings.UploadSettings,
        settings.MetadataSettings,
        settings.SourceSettings,
        settings.LogSettings,
    ):
        for field in group.model_fields.values():
            assert field.description and field.description in documented, field.description


def test_decisions_are_short() -> None:
    for path in (ROOT / "docs/adr").glob("*.md"):
        assert len(path.read_text().splitlines()) <= 40, path.name


def test_the_project_has_no_absolute_paths_of_a_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    home = re.compile(r"/(?:root|home/\w+|work)/")
    for name in listed.stdout.split():
        path = ROOT / name
        if path.suffix in (".md", ".py", ".sh", ".toml", "") and path.is_file() and name != "LICENSE":
            found = home.search(path.read_text(errors="replace"))
            assert not found or name == "tests/test_docs.py", name
