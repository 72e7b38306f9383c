"""The commands for people and CI that work on packages, through the documented client and nothing else."""

import json
import sys
from collections.abc import Callable
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otarium.cli.connect import ClientId, ClientSecret, Host, Json, Token, document, repository
from otarium.cli.listing import list_packages
from otarium.cli.output import FAILED, USAGE, failures, show_json, show_record, show_table, stop
from otarium.cli.push import push

if TYPE_CHECKING:
    from torizon_io_api import Package

Id = Annotated[
    str, typer.Argument(metavar="ID", help="Package id, for example my-app-1.0.", show_default=False)
]
Words = list[str] | None


def register(app: typer.Typer) -> None:
    """Adds push, list, show, edit, delete and check to the application."""
    commands: dict[str, Callable[..., None]] = {
        "push": push,
        "list": list_packages,
        "show": show,
        "edit": edit,
        "delete": delete,
        "check": check,
    }
    for name, command in commands.items():
        app.command(name)(command)


def show(
    package_id: Id,
    host: Host = None,
    token: Token = None,
    client_id: ClientId = None,
    client_secret: ClientSecret = None,
    as_json: Json = False,
) -> None:
    """Show one package with all its details.

    \b
    Example:
      otarium show my-app-1.0
    """
    with repository(host, token, client_id, client_secret) as api:
        _show_package(api.get_packages_packageid(package_id), as_json=as_json)


def edit(
    package_id: Id,
    hardware_id: Annotated[
        Words, typer.Option(metavar="H", help="Replace the hardware ids; repeatable.")
    ] = None,
    no_hardware_ids: Annotated[bool, typer.Option("--no-hardware-ids", help="Leave none.")] = False,
    uri: Annotated[str | None, typer.Option(help="Where devices fetch the package instead.")] = None,
    clear_uri: Annotated[bool, typer.Option("--clear-uri", help="Remove the uri.")] = False,
    comment: Annotated[str | None, typer.Option(help="A remark for people.")] = None,
    clear_comment: Annotated[bool, typer.Option("--clear-comment", help="Remove the comment.")] = False,
    meta: Annotated[
        str | None, typer.Option(metavar="FILE_OR_JSON", help="Custom metadata: a JSON object, or its file.")
    ] = None,
    clear_meta: Annotated[bool, typer.Option("--clear-meta", help="Remove the custom metadata.")] = False,
    host: Host = None,
    token: Token = None,
    client_id: ClientId = None,
    client_secret: ClientSecret = None,
    as_json: Json = False,
) -> None:
    """Edit what may change of a package; everything that is not named stays as it is.

    \b
    Example:
      otarium edit my-app-1.0 --hardware-id my-board --comment "tested on the bench"
    """
    changes = (
        _change("hardwareIds", hardware_id or None, no_hardware_ids, "--hardware-id", "--no-hardware-ids", [])
        | _change("uri", uri, clear_uri, "--uri", "--clear-uri")
        | _change("comment", comment, clear_comment, "--comment", "--clear-comment")
        | _change("proprietaryMeta", _meta(meta), clear_meta, "--meta", "--clear-meta")
    )
    if not changes:
        stop("nothing to change: give at least one of the options that otarium edit --help names", USAGE)
    with repository(host, token, client_id, client_secret) as api:
        from torizon_io_api import EditPackage

        edited = api.patch_packages_packageid(package_id, EditPackage.from_dict(changes))
        _show_package(edited, as_json=as_json)


def delete(
    package_id: Id,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    host: Host = None,
    token: Token = None,
    client_id: ClientId = None,
    client_secret: ClientSecret = None,
    as_json: Json = False,
) -> None:
    """Delete a package; devices will no longer install it. Asks first.

    \b
    Example:
      otarium delete my-app-1.0
    """
    if not yes:
        if not sys.stdin.isatty():
            stop("this needs --yes, since there is no terminal to ask on", USAGE)
        if not typer.confirm(f"Delete {package_id}?", err=True):
            stop("nothing was deleted")
    with repository(host, token, client_id, client_secret) as api:
        api.delete_packages_packageid(package_id)
        if as_json:
            show_json({"packageId": package_id, "deleted": True})
        else:
            show_record({"deleted": package_id})


def check(
    file: Annotated[Path, typer.Argument(help="The file to look up.", show_default=False)],
    host: Host = None,
    token: Token = None,
    client_id: ClientId = None,
    client_secret: ClientSecret = None,
    as_json: Json = False,
) -> None:
    """Tell whether a file is a package of the repository, by its sha256. Exit code 1 if it is not.

    \b
    Example:
      otarium check firmware.bin
    """
    with failures(), file.open("rb") as opened:
        sha256 = file_digest(opened, "sha256").hexdigest()
    with repository(host, token, client_id, client_secret) as api:
        ids = [package.package_id for package in api.iter_packages(hashes=[sha256])]
    if as_json:
        show_json({"sha256": sha256, "authorized": bool(ids), "packageIds": ids})
    elif ids:
        show_table(["PACKAGE ID"], [[package_id] for package_id in ids])
    else:
        typer.echo("Package not authorized by your repository")
    if not ids:
        raise typer.Exit(FAILED)


def _change(
    field: str, value: object, clear: bool, option: str, clearing: str, cleared: object = None
) -> dict[str, object]:
    """The part of an edit that one pair of options stands for."""
    if value is not None and clear:
        stop(f"give either {option} or {clearing}, not both", USAGE)
    if clear:
        return {field: cleared}
    return {} if value is None else {field: value}


def _meta(given: str | None) -> dict[str, Any] | None:
    if given is None:
        return None
    text = given
    if not given.lstrip().startswith("{"):
        with failures(UnicodeDecodeError):
            text = Path(given).read_text(encoding="utf-8")
    try:
        value = json.loads(text)
    except ValueError as error:
        stop(f"--meta is no JSON: {error}", USAGE)
    if not isinstance(value, dict):
        stop("--meta must be a JSON object", USAGE)
    return value


def _show_package(package: "Package", *, as_json: bool) -> None:
    if as_json:
        show_json(document(package))
        return
    meta = package.proprietary_meta
    show_record(
        {
            "package": package.package_id,
            "name": package.name,
            "version": package.version,
            "hardware ids": ", ".join(package.hardware_ids or []),
            "size": package.size,
            **package.hashes,
            "format": package.pkg_type,
            "source": package.package_source,
            "created": package.created_at.isoformat() if package.created_at else None,
            "uri": package.uri,
            "comment": package.comment,
            "metadata": json.dumps(meta, ensure_ascii=False) if meta else None,
        }
    )
