"""The `otarium` command."""

import typer

from otarium import __version__
from otarium.cli import admin, fetch, packages, sources

app = typer.Typer(
    name="otarium",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help=(
        "A self-hosted package repository for over-the-air updates.\n\n"
        "Operators: serve, status, client, token, source, verify, reindex, root, backup work on a data "
        "directory.\n\n"
        "Users: push, list, show, edit, delete, check talk to a server (OTARIUM_HOST and OTARIUM_TOKEN); "
        "fetch downloads as a careful device would."
    ),
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """A self-hosted package repository for over-the-air updates."""


admin.register(app)
packages.register(app)
fetch.register(app)
sources.register(app)


def main() -> None:
    app()
