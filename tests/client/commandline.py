"""Runs user commands: in the process of the test, or in one of their own on pipes or on a terminal."""

import contextlib
import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import typer
from typer.testing import CliRunner

from otarium.cli import fetch, packages

APPLICATION = """
import typer
from otarium.cli import fetch, packages
app = typer.Typer(pretty_exceptions_enable=False)
packages.register(app)
fetch.register(app)
app()
"""


def _settings() -> list[str]:
    return [name for name in os.environ if name.startswith("OTARIUM_")]


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str = ""


@dataclass
class CommandLine:
    """`env` is added to an environment that names no server and no credentials."""

    env: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        inherited = dict(os.environ)
        for name in ("NO_COLOR", "FORCE_COLOR", *_settings()):
            inherited.pop(name, None)
        return inherited | self.env | dict(more)

    def run(self, *args: str | Path, **env: str) -> Result:
        """On pipes, as in CI; inside this process."""
        app = typer.Typer()
        packages.register(app)
        fetch.register(app)
        environment: dict[str, str | None] = dict.fromkeys(_settings())
        with contextlib.chdir(self.folder or Path()):
            done = CliRunner().invoke(app, [*map(str, args)], env=environment | self.env | env)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Result(done.exit_code, done.stdout, done.stderr)

    def run_alone(self, *args: str | Path, **env: str) -> Result:
        """On pipes, as in CI; in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-c", APPLICATION, *map(str, args)],
            capture_output=True,
            text=True,
            env=self._environment(env),
            cwd=self.folder,
            timeout=60,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def on_terminal(self, *args: str | Path, typed: str = "", columns: int = 80, **env: str) -> Result:
        """On a terminal of that width; `out` is everything that appears on it."""
        master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (40, columns))
        process = subprocess.Popen(
            [sys.executable, "-c", APPLICATION, *map(str, args)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=self._environment({"TERM": "xterm-256color", "COLUMNS": str(columns)} | env),
            cwd=self.folder,
        )
        os.close(slave)
        os.write(master, typed.encode())
        shown = b""
        while select.select([master], [], [], 60)[0]:
            try:
                block = os.read(master, 65536)
            except OSError:  # Linux reports the end of a terminal this way
                break
            if not block:
                break
            shown += block
        os.close(master)
        return Result(process.wait(10), shown.decode().replace("\r\n", "\n"))
