"""`otarium fetch`: get a package the way a careful device does, and say what was verified on the way.

The verifying is python-tuf's, from a root of trust that the user names. Nothing is kept between runs, so a
repository that went back to an earlier state goes unnoticed. The file appears under its name only after all
checks, whole or not at all.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from otarium.cli.connect import Json
from otarium.cli.output import USAGE, failures, show_json, show_record, stop, warn
from otarium.cli.push import transfer_bar

if TYPE_CHECKING:
    from otarium.cli.device import Role


def register(app: typer.Typer) -> None:
    """Adds fetch to the application."""
    app.command("fetch")(fetch)


def fetch(
    package_id: Annotated[
        str, typer.Argument(metavar="ID", help="Package id, for example my-app-1.0.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write it.", show_default=False)],
    server: Annotated[
        str,
        typer.Option(metavar="URL", help="Public base URL of the server, without /api.", show_default=False),
    ],
    root: Annotated[
        Path | None, typer.Option(help="The root to trust, a file that otarium root export printed.")
    ] = None,
    trust_on_first_use: Annotated[
        bool, typer.Option("--trust-on-first-use", help="Trust the first root that the server shows.")
    ] = False,
    token: Annotated[
        str | None, typer.Option(help="Bearer token, if the server wants one of devices.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Download a package with all the checks of a device, and print what was verified.

    \b
    Example:
      otarium fetch my-app-1.0 --server http://127.0.0.1:8080 --root root.json -o my-app.bin
    """
    _check_usage(output, server, root, trust_on_first_use)
    with failures(), tempfile.TemporaryDirectory(prefix="otarium-fetch-") as memory:
        trusted = None if root is None else root.read_bytes()
        verified, roles = _verified(package_id, output, server, trusted, token, Path(memory))
    facts = {"package": package_id, "file": str(output), **verified}
    if as_json:
        shown = {role.name: {"version": role.version, "expires": role.expires.isoformat()} for role in roles}
        show_json({**facts, "verified": shown})
    else:
        said = {f"verified {role.name}": f"version {role.version}, expires {role.expires}" for role in roles}
        show_record(facts | said)


def _check_usage(output: Path, server: str, root: Path | None, trust_on_first_use: bool) -> None:
    if (root is None) != trust_on_first_use:
        stop("give either --root FILE or --trust-on-first-use", USAGE)
    parts = urlsplit(server)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        stop("--server must be the server's base URL, such as http://127.0.0.1:8080", USAGE)
    if output.exists() and not output.is_file():
        # Replacing it would put a file in the place of a device such as /dev/null.
        stop(f"{output} is not a regular file", USAGE)


def _verified(
    package_id: str, output: Path, server: str, trusted: bytes | None, token: str | None, memory: Path
) -> tuple[dict[str, object], list["Role"]]:
    """Downloads to `output`, with `memory` as an empty directory for metadata; returns length and hashes."""
    try:
        from tuf.api.exceptions import DownloadError, RepositoryError

        from otarium.cli.device import Device
    except ImportError:
        stop("fetch verifies with python-tuf, which is not installed: pip install 'otarium[device]'")
    try:
        with transfer_bar(output.name) as progress:
            device = Device(server, token, memory, output.parent, progress)
            if trusted is None:
                warn(f"trusting the connection: nothing vouches for the root that {server} shows now")
                trusted = device.first_root()
            target = device.find(package_id, trusted)
            if target is None:
                stop(f"{package_id} is not in the signed metadata of {server}")
            with _replacing(output) as path:
                device.download(target, path)
            return {"length": target.length, **target.hashes}, device.roles()
    except (DownloadError, RepositoryError) as error:
        stop(f"{package_id} was not fetched, since it could not be verified: {error}")


@contextmanager
def _replacing(output: Path) -> Iterator[Path]:
    """A new file that takes the place of `output`, on disk and with usual rights, if the block succeeds."""
    handle, name = tempfile.mkstemp(prefix=".otarium-", dir=output.parent)
    path = Path(name)
    try:
        yield path
        os.fsync(handle)
        umask = os.umask(0o077)
        os.umask(umask)
        path.chmod(0o666 & ~umask)
        path.replace(output)
    finally:
        os.close(handle)
        path.unlink(missing_ok=True)
