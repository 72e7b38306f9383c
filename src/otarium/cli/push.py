"""`otarium push`: upload a file and make sure that what the server stored is what was read."""

import hashlib
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from otarium.cli.connect import ClientId, ClientSecret, Host, Json, Token, document, repository
from otarium.cli.output import console, failures, show_json, show_record, size_text, stop, warn

if TYPE_CHECKING:
    from torizon_io_api import Package, PackagesApi


def push(
    file: Annotated[Path, typer.Argument(help="The file to upload.", show_default=False)],
    name: Annotated[
        str, typer.Option(help="Package name; together with the version it is the id.", show_default=False)
    ],
    version: Annotated[str, typer.Option(help="Package version.", show_default=False)],
    hardware_id: Annotated[
        list[str] | None,
        typer.Option(help="Hardware id of the devices that may install it; repeat for more.", metavar="H"),
    ] = None,
    target_format: Annotated[str, typer.Option("--format", help="Format of the package.")] = "BINARY",
    comment: Annotated[str | None, typer.Option(help="A remark for people; devices do not see it.")] = None,
    accept_overlap: Annotated[
        bool,
        typer.Option("--accept-overlap", help="Yes to a new name that an external source may publish too."),
    ] = False,
    host: Host = None,
    token: Token = None,
    client_id: ClientId = None,
    client_secret: ClientSecret = None,
    as_json: Json = False,
) -> None:
    """Upload a file as a package.

    Uploading the same file under the same name and version again is not an error.

    \b
    Example:
      otarium push firmware.bin --name my-firmware --version 1.2.0 --hardware-id my-board
    """
    if not hardware_id:
        warn("no --hardware-id was given: no device would install this package")
    with failures(), file.open("rb") as opened, repository(host, token, client_id, client_secret) as api:
        body = HashingFile(opened)
        with transfer_bar(file.name) as progress:
            package = api.post_packages(
                name,
                version,
                target_format,
                body=body,
                hardware_id=hardware_id or None,
                progress=progress,
                _headers={"Otarium-Accept-Overlap": "true"} if accept_overlap else None,
            )
        stored = package.hashes.get("sha256", "")
        if stored.lower() != body.sha256():
            stop(
                f"the server stored other bytes than were sent: it says {stored}, {file} has {body.sha256()}"
            )
        if comment is not None:
            package = _commented(api, package.package_id, comment)
        if as_json:
            show_json(document(package))
        else:
            show_record({"package": package.package_id, "sha256": stored, "size": _size(package.size)})


def _commented(api: "PackagesApi", package_id: str, comment: str) -> "Package":
    from torizon_io_api import ApiException, EditPackage

    try:
        return api.patch_packages_packageid(package_id, EditPackage(comment=comment))
    except ApiException as error:
        stop(f"{package_id} was uploaded, but its comment was not set: {error}")


def _size(size: int) -> str:
    return f"{size_text(size)} ({size})" if sys.stdout.isatty() and size >= 1024 else str(size)


class HashingFile(io.RawIOBase):
    """Hashes what is read of a file; a repeated upload goes back to the start, and so does the hash."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        block = self._file.read(size)
        self._digest.update(block)
        return block

    def seekable(self) -> bool:
        return self._file.seekable()

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        at = self._file.seek(offset, whence)
        if at == 0:
            self._digest = hashlib.sha256()
        return at

    def sha256(self) -> str:
        """Of the whole file, in lower-case hex; reads what an early answer left unread."""
        while self.read(1 << 20):
            pass
        return self._digest.hexdigest()


@contextmanager
def transfer_bar(what: str) -> Iterator[Callable[[int, int], Any] | None]:
    """A bar with rate and time left on a terminal, fed with (bytes done, bytes in all); None elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich import progress

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.DownloadColumn(binary_units=True),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console(sys.stderr)) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
