"""`otarium list`: every filter of the API, and one row per package."""

import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otarium.cli.connect import ClientId, ClientSecret, Host, Json, Token, document, repository
from otarium.cli.output import USAGE, note, show_json, show_table, size_text, stop

if TYPE_CHECKING:
    from torizon_io_api import Package

Words = list[str] | None


class SortBy(StrEnum):
    FILENAME = "Filename"
    CREATED_AT = "CreatedAt"


class SortDirection(StrEnum):
    ASC = "Asc"
    DESC = "Desc"


def list_packages(
    offset: Annotated[int | None, typer.Option(min=0, help="Skip this many.", show_default="0")] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="Show no more.", show_default="50")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show all that match, however many.")] = False,
    id_contains: Annotated[str | None, typer.Option(help="Part of the id.")] = None,
    name_contains: Annotated[str | None, typer.Option(help="Part of the name, in any case.")] = None,
    package_source: Annotated[Words, typer.Option(metavar="S", help="From this source; repeatable.")] = None,
    name: Annotated[str | None, typer.Option(help="Exactly this name.")] = None,
    version: Annotated[str | None, typer.Option(help="Exactly this version.")] = None,
    hardware_id: Annotated[Words, typer.Option(metavar="H", help="For this hardware; repeatable.")] = None,
    hashes: Annotated[Words, typer.Option("--hash", metavar="SHA256", help="Repeatable.")] = None,
    package_id: Annotated[Words, typer.Option(metavar="ID", help="Exactly this id; repeatable.")] = None,
    has_sbom: Annotated[bool | None, typer.Option(help="Only those with, or without, an SBOM.")] = None,
    sort_by: Annotated[SortBy | None, typer.Option(case_sensitive=False, show_default="CreatedAt")] = None,
    sort_direction: Annotated[
        SortDirection | None, typer.Option(case_sensitive=False, show_default="Desc")
    ] = None,
    host: Host = None,
    token: Token = None,
    client_id: ClientId = None,
    client_secret: ClientSecret = None,
    as_json: Json = False,
) -> None:
    """List packages, newest first.

    Different filters must all match; of one filter that is repeated, any value may.

    \b
    Example:
      otarium list --name-contains firmware --hardware-id my-board --limit 10
    """
    filters: dict[str, Any] = {
        "id_contains": id_contains,
        "name_contains": name_contains,
        "package_source": package_source or None,
        "name": name,
        "version": version,
        "hardware_ids": hardware_id or None,
        "hashes": hashes or None,
        "package_ids": package_id or None,
        "has_sbom": has_sbom,
        "sort_by": sort_by or SortBy.CREATED_AT,
        "sort_direction": sort_direction or SortDirection.DESC,
    }
    if everything and (offset is not None or limit is not None):
        stop("--all shows everything: leave out --offset and --limit", USAGE)
    with repository(host, token, client_id, client_secret) as api:
        if everything:
            found = list(api.iter_packages(**filters))
            _show_page(found, len(found), 0, len(found), as_json=as_json)
        else:
            page = api.get_packages(offset=offset, limit=limit, **filters)
            _show_page(page.values, page.total, page.offset, page.limit, as_json=as_json)


def _show_page(found: "list[Package]", total: int, offset: int, limit: int, *, as_json: bool) -> None:
    if as_json:
        values = [document(package) for package in found]
        show_json({"values": values, "total": total, "offset": offset, "limit": limit})
        return
    rows = (
        [
            package.package_id,
            ", ".join(package.hardware_ids or []),
            size_text(package.size) if sys.stdout.isatty() else package.size,
            _minute(package.created_at),
            package.package_source,
        ]
        for package in found
    )
    show_table(["PACKAGE ID", "HARDWARE IDS", "SIZE", "CREATED (UTC)", "SOURCE"], rows)
    shown = offset + len(found)
    if sys.stdout.isatty() and shown < total:
        note(f"{len(found)} of {total}; next: --offset {shown}, all: --all")


def _minute(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if moment else ""
