"""The options of `otarium source`, and what they mean for a source."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from otarium.cli.output import console, seconds_of, warn

_PUBLISHERS_OWN = ("keys", "delegationMetadata", "fetchUrl", "tufFetchUrl", "targetsUrl", "friendlyName")
Name = Annotated[str, typer.Argument(help="The source, with or without .json", metavar="NAME")]
Header = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        metavar="NAME=VALUE",
        help="Sent with each fetch: Authorization, Private-Token or X-*; kept encrypted, never shown again",
    ),
]
Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        metavar="KEY",
        help="Without a bundle: a public key, as a PEM file or 64 hexadecimal digits (Ed25519); repeatable",
    ),
]
Paths = Annotated[
    list[str] | None,
    typer.Option("--path", metavar="P", help="Without a bundle: names it may publish; repeatable"),
]
Url = Annotated[str | None, typer.Option("--url", help="Where its signed list is", metavar="URL")]
TufUrl = Annotated[
    str | None, typer.Option("--tuf-url", help="Where its list for TUF 1.0 clients is", metavar="URL")
]
TargetsUrl = Annotated[
    str | None,
    typer.Option("--targets-url", help="Where its files lie, if the list does not say", metavar="URL"),
]
FriendlyName = Annotated[str | None, typer.Option(help="What people call it")]
Every = Annotated[
    str | None, typer.Option("--every", help="Time between refreshes, such as 30m or 1d", metavar="TIME")
]
Insecure = Annotated[
    bool | None,
    typer.Option(
        "--allow-insecure-source/--no-insecure-source",
        help="Allow plain http, private addresses and any port for this source",
    ),
]
Redirects = Annotated[
    bool | None, typer.Option("--follow-redirects/--no-redirects", help="Follow up to 3 redirects")
]
Vouch = Annotated[
    bool | None,
    typer.Option("--vouch/--no-vouch", help="Sign its Uptane-only list for TUF 1.0 clients"),
]


def edits_of(
    url: str | None,
    tuf_url: str | None,
    targets_url: str | None,
    friendly_name: str | None,
    every: str | None,
    insecure: bool | None,
    redirects: bool | None,
    vouch: bool | None,
) -> dict[str, Any]:
    """Members of Fetching that were given."""
    if insecure:
        from rich.text import Text

        red = Text("This source may use plain http and private addresses.", style="bold red")
        console(typer.get_text_stream("stderr")).print(red)
    fields = {
        "uri": url,
        "tuf_uri": tuf_url,
        "targets_uri": targets_url,
        "friendly_name": friendly_name,
        "interval": seconds_of(every) if every else None,
        "insecure": insecure,
        "redirects": redirects,
        "vouch": vouch,
    }
    return {name: value for name, value in fields.items() if value is not None}


def headers_of(stated: list[str] | None) -> dict[str, str]:
    pairs = [one.partition("=") for one in stated or ()]
    for name, equals, _ in pairs:
        if not equals:
            raise typer.BadParameter(f"{name!r} is not NAME=VALUE", param_hint="--header")
    return {name.strip(): value for name, _, value in pairs}


def read_bundle(bundle: Path) -> dict[str, Any]:
    """The bundle's members. Raises Invalid."""
    from otarium.domain.canonical import parse
    from otarium.domain.errors import Invalid

    raw = typer.get_binary_stream("stdin").read() if str(bundle) == "-" else bundle.read_bytes()
    document = parse(raw, f"The bundle {bundle}")
    if not isinstance(document, dict):
        raise Invalid(f"The bundle {bundle} is not a JSON object.")
    told = {member: document[member] for member in _PUBLISHERS_OWN if member in document}
    for member in sorted(set(document) - set(told)):
        warn(f"{member} in the bundle is left out: the publisher does not decide that; see the options")
    return told


def renamed(bundle: dict[str, Any], name: str | None) -> dict[str, Any]:
    """The bundle under another local name, which a publisher needs that cannot come back under its own."""
    about = bundle.get("delegationMetadata")
    return (
        bundle | {"delegationMetadata": about | {"name": name}}
        if name and isinstance(about, dict)
        else bundle
    )


def made_bundle(
    name: str | None, keys: list[str] | None, paths: list[str] | None, threshold: int | None
) -> dict[str, Any]:
    """The members of a bundle that was not given as a file."""
    if not (name and keys and paths):
        raise typer.BadParameter("give a bundle file, or --name, --key, --path and --url")
    about = {"name": name, "paths": paths, "threshold": 1 if threshold is None else threshold}
    return {"keys": [_key(one) for one in keys], "delegationMetadata": about}


def _key(stated: str) -> dict[str, Any]:
    if re.fullmatch(r"[0-9a-fA-F]{64}", stated):
        return {"keytype": "ed25519", "keyval": {"public": stated}}
    text = Path(stated).read_text(errors="replace")
    if "PRIVATE KEY" in text:
        raise typer.BadParameter(f"{stated} is a private key; its publisher hands out the public one")
    from otarium.domain.publishers import key_of_pem

    return key_of_pem(text).to_object()
