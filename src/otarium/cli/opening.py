"""What operator commands share: their options, opening a data directory, failures as one line."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otarium.cli.output import printable
from otarium.domain.errors import Broken, Refusal

if TYPE_CHECKING:
    from otarium.bootstrap import Repository
    from otarium.settings import Settings

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="The data directory [env OTARIUM_DATA_DIR]", metavar="DIR")
]
MasterKeyFile = Annotated[
    Path | None,
    typer.Option("--master-key-file", help="Where the master key is [env OTARIUM_MASTER_KEY_FILE]"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON")]


_EXTRAS = {
    "psycopg": "server,postgresql",
    "obstore": "server,objects",
    "opentelemetry": "server,otel",
    "securesystemslib": "kms",
}
"""What brings a module that is missing; everything else comes with the server."""


@contextmanager
def told() -> Iterator[None]:
    """Failures as one line on stderr, and one for each further name that they are about, and exit code 1.
    Files made inside are the owner's alone."""
    umask = os.umask(0o077)
    try:
        yield
    except (Broken, Refusal) as error:
        typer.echo(f"otarium: {error}", err=True)
        for name in _further_names(error):
            typer.echo(f"  {printable(name)}", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        typer.echo(f"otarium: {error.strerror or error}{where}", err=True)
        raise typer.Exit(1) from None
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0], "server")
        needed = f"this command needs {error.name}, which is missing"
        typer.echo(f"otarium: {needed}: pip install 'otarium[{extra}]'", err=True)
        raise typer.Exit(1) from None
    finally:
        os.umask(umask)


def _further_names(error: Exception) -> list[str]:
    """Those of its cause that the message does not say: there it is one of several packages."""
    cause = getattr(error, "cause", None)
    names = map(str, cause) if isinstance(cause, list) else ()
    whole = r"(?<![\w/-])%s(?![\w/-]|\.\w)"
    return [name for name in names if not re.search(whole % re.escape(name), str(error))]


def settings_of(data_dir: Path | None, master_key_file: Path | None = None, **http: Any) -> "Settings":
    """Options over the environment; exits with 2 when one is wrong."""
    from pydantic import ValidationError

    from otarium.settings import HttpSettings, Settings, StorageSettings

    def given(**options: Any) -> dict[str, Any]:
        return {name: value for name, value in options.items() if value is not None}

    try:
        storage = StorageSettings(**given(data_dir=data_dir, master_key_file=master_key_file))
        return Settings(storage=storage, http=HttpSettings(**given(**http)))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        typer.echo(f"otarium: the setting {place} is wrong: {first['msg']}", err=True)
        raise typer.Exit(2) from None


def opened(data_dir: Path | None, master_key_file: Path | None) -> "Repository":
    from otarium.bootstrap import exists, open_repository

    settings = settings_of(data_dir, master_key_file)
    if not exists(settings):
        raise Broken(f"there is no repository in {settings.storage.data_dir}; `otarium serve` makes one")
    return open_repository(settings)
