"""Operator commands: they work on a data directory, also while a server runs on it."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from otarium.cli import credentials
from otarium.cli.opening import AsJson, DataDir, MasterKeyFile, opened, settings_of, told
from otarium.cli.status import status


def register(app: typer.Typer) -> None:
    """Add the operator commands."""
    for command in (serve, status, verify, reindex, backup):
        app.command()(command)
    root = typer.Typer(help="The root of trust.", no_args_is_help=True)
    root.command("export")(root_export)
    app.add_typer(root, name="root")
    credentials.register(app)


def serve(
    data_dir: DataDir = None,
    host: Annotated[str | None, typer.Option(help="Address to bind [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to bind [default: 8080]")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes [default: 1]")] = None,
    public_url: Annotated[
        str | None, typer.Option(help="What clients call this server, for absolute URLs", metavar="URL")
    ] = None,
    device_access: Annotated[
        str | None, typer.Option(help="Who may fetch metadata and packages: public or token")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Serve https with this certificate (PEM)")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="and its private key (PEM)")] = None,
    master_key_file: MasterKeyFile = None,
) -> None:
    """Run the server. The first start makes the data directory, the keys and one API client.

    Example: otarium serve --data-dir /var/lib/otarium --public-url https://ota.example.com
    """
    with told():
        from otarium.server import serve as run

        settings = settings_of(
            data_dir,
            master_key_file,
            host=host,
            port=port,
            workers=workers,
            public_url=public_url,
            device_access=device_access,
            tls_cert=tls_cert,
            tls_key=tls_key,
        )
        run(settings)


def root_export(
    version: Annotated[int | None, typer.Option(help="An older root than the newest")] = None,
    uptane: Annotated[bool, typer.Option("--uptane", help="In the dialect of /repo instead of /tuf")] = False,
    data_dir: DataDir = None,
    master_key_file: MasterKeyFile = None,
) -> None:
    """Print the root to trust. Example: otarium root export > root.json"""
    with told():
        from otarium.services import authority

        file = authority.root(opened(data_dir, master_key_file).catalog, version)
    sys.stdout.buffer.write((file.uptane if uptane else file.tuf).raw)


def verify(data_dir: DataDir = None, master_key_file: MasterKeyFile = None, as_json: AsJson = False) -> None:
    """Check everything the repository promises: bytes, signatures, versions, rows; exit 1 if not."""
    with told():
        repository = opened(data_dir, master_key_file)
        with _byte_progress("reading packages") as progress:
            report = repository.verification(progress).run()
    if as_json:
        typer.echo(json.dumps({name: getattr(report, name) for name in report.__slots__}))
    else:
        for line in report.warnings[:20]:
            typer.echo(f"warning: {line}", err=True)
        for line in report.broken[:20]:
            typer.echo(f"broken: {line}")
        found = f"{len(report.broken)} broken" if report.broken else "all good"
        typer.echo(
            f"{found}: {report.packages} packages, {report.bytes} bytes, "
            f"{report.role_files} metadata files, release {report.release}"
        )
    raise typer.Exit(1 if report.broken else 0)


def reindex(data_dir: DataDir = None, master_key_file: MasterKeyFile = None) -> None:
    """Make anew what lists and searches read, when `otarium verify` says so; changes wait meanwhile."""
    with told():
        from otarium.services.verify import rebuild_search

        repository = opened(data_dir, master_key_file)
        rebuild_search(repository.catalog, repository.clock)
    typer.echo("lists and searches are made anew")


def backup(
    file: Annotated[Path, typer.Argument(help="The tar file to write; it must not exist")],
    data_dir: DataDir = None,
    master_key_file: MasterKeyFile = None,
) -> None:
    """Write a consistent copy of the repository, while the server runs; without the master key.

    To restore: unpack it into an empty directory, put the master key beside, run `otarium verify`.
    """
    with told():
        from otarium.bootstrap import write_backup

        repository = opened(data_dir, master_key_file)
        with _byte_progress("copying") as progress:
            packages = write_backup(repository, file, progress)
    typer.echo(f"{file}: {packages} blobs; keep a copy of {repository.settings.storage.master_key} elsewhere")


@contextmanager
def _byte_progress(what: str) -> Iterator[Callable[[int], None]]:
    """A rate on a terminal, silence elsewhere."""
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True)
    columns = (
        f"{what} ",
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
    )
    with progress.Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda count: bar.advance(task, count)
