"""`otarium source publish` and `otarium source key`: a signed list of packages for repositories of others.

The publisher needs no repository; files on any web server are enough. What is done with keys and files is in
`signers` and `published`, the rules are in `otarium.domain.publication`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlsplit

import typer

from otarium.cli.connect import ClientId, ClientSecret, Host, Json, Token, repository
from otarium.cli.output import USAGE, failures, seconds_of, show_json, show_record, stop, warn
from otarium.domain.errors import Refusal
from otarium.domain.names import SourceName

if TYPE_CHECKING:
    from torizon_io_api import Package, PackagesApi

Name = Annotated[
    str,
    typer.Option(metavar="NAME", help="Name of the source: 1-50 of A-Z a-z 0-9 . _ -", show_default=False),
]
FetchUrl = Annotated[
    str,
    typer.Option(
        metavar="URL", help="Where you will host NAME.json, or its folder with a slash.", show_default=False
    ),
]
TufFetchUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Where you will host NAME.tuf.json. Default: beside NAME.json."),
]
Keys = Annotated[
    list[str],
    typer.Option(
        metavar="FILE_OR_URI",
        help="Private key to sign with: a PEM file (Ed25519, RSA, ECDSA P-256), or the URI of a signer, "
        "such as gcpkms:... or hsm:2. Repeatable.",
        show_default=False,
    ),
]
PublicKeys = Annotated[
    list[Path] | None, typer.Option(metavar="FILE", help="Public key of a URI, as PEM; one for each URI.")
]
Packages = Annotated[Path | None, typer.Option(metavar="FILE", help="The packages, as a JSON list.")]
FromRepository = Annotated[
    bool, typer.Option("--from-repository", help="The own packages of a running repository instead.")
]
NameContains = Annotated[str | None, typer.Option(help="Of these: part of the name, in any case.")]
HardwareIds = Annotated[
    list[str] | None, typer.Option(metavar="H", help="Of these: for this hardware; repeatable.")
]
DeviceUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Where devices reach that repository. Default: the API's, without /api."
    ),
]
Threshold = Annotated[
    int | None, typer.Option(min=1, help="How many of the keys must sign. Default: all of them.")
]
Paths = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="Which package ids others shall take from you, such as 'acme-*'; repeatable. "
        "Default: 'NAME-*' for each package name in the list.",
    ),
]
Expires = Annotated[str, typer.Option(metavar="TIME", help="How long the list is good: 12h, 90d, 52w.")]
Version = Annotated[
    int | None, typer.Option(min=1, help="Version of the list. Default: one more than that in --output.")
]
FriendlyName = Annotated[str | None, typer.Option(metavar="TEXT", help="What people see. Default: NAME.")]
Output = Annotated[
    Path, typer.Option(metavar="DIR", help="Where to write the three files.", show_default=".")
]

_PUBLISH = """Sign a list of packages that other repositories can take over as a package source.

Writes NAME.json (for aktualizr; not with an ECDSA key), NAME.tuf.json (for TUF 1.0 clients) and
add-NAME.json. Host the first two at --fetch-url, and give the third to the operators of other repositories:
it says where the list is, and to trust your keys for the --path patterns. Publish again before the list
expires, with the files of last time in --output: the version must rise, and a package must keep its content.

Each package in --packages is an object of name, version, hardwareIds, sha256, length and uri (where devices
fetch it), and if wanted of targetFormat (BINARY or OSTREE), createdAt and proprietaryMeta.

\b
Example:
  otarium source key acme.pem
  otarium source publish --name acme --packages packages.json --key acme.pem \\
      --fetch-url https://updates.acme.example/acme.json --path 'acme-*'
"""


def register(group: typer.Typer) -> None:
    """Adds publish and key to the group `otarium source`."""
    group.command("publish", help=_PUBLISH)(source_publish)
    group.command("key")(source_key)


def source_key(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Make a private key for `otarium source publish`: Ed25519, as PEM, readable by you alone. Keep a copy.

    \b
    Example:
      otarium source key acme.pem
    """
    with _signing():
        from otarium.cli.signers import new_key

        try:
            key = new_key(file)
        except FileExistsError:
            stop(f"{file} exists already and stays as it is; name another file")
    if as_json:
        show_json({"keyId": key.key_id, "file": str(file)})
    else:
        show_record({"key id": key.key_id, "file": file})


def source_publish(
    name: Name,
    fetch_url: FetchUrl,
    key: Keys,
    public_key: PublicKeys = None,
    packages: Packages = None,
    from_repository: FromRepository = False,
    name_contains: NameContains = None,
    hardware_id: HardwareIds = None,
    device_url: DeviceUrl = None,
    threshold: Threshold = None,
    path: Paths = None,
    expires: Expires = "365d",
    version: Version = None,
    tuf_fetch_url: TufFetchUrl = None,
    friendly_name: FriendlyName = None,
    output: Output = Path(),
    host: Host = None,
    token: Token = None,
    client_id: ClientId = None,
    client_secret: ClientSecret = None,
    as_json: Json = False,
) -> None:
    _check_usage(packages, from_repository, (name_contains, hardware_id, device_url))
    lifetime = seconds_of(expires)
    with _signing():
        from otarium.cli import published
        from otarium.cli.signers import signing_keys

        keys = signing_keys(key, public_key or [])
        files = published.Files(output, SourceName.parse(name))
        where = published.fetching(files.name, fetch_url, tuf_fetch_url, friendly_name)
        if packages is not None:
            stated = published.read_list(packages)
        else:
            with repository(host, token, client_id, client_secret) as api:
                stated = _own_packages(api, name_contains, hardware_id, device_url)
        terms = published.Terms(keys, threshold, path, where, version, lifetime)
        _show(published.publish(files, stated, terms), as_json)


@contextmanager
def _signing() -> Iterator[None]:
    """What goes wrong ends the command with one line, also that nothing can be signed here."""
    try:
        with failures(Refusal):
            yield
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        stop(f"signing needs {missing}, which is not installed: pip install 'otarium[server]'")


def _check_usage(packages: Path | None, from_repository: bool, filters: Sequence[object]) -> None:
    if (packages is not None) == from_repository:
        stop("give either --packages FILE or --from-repository", USAGE)
    if packages is not None and any(filters):
        stop("--name-contains, --hardware-id and --device-url go with --from-repository", USAGE)


def _own_packages(
    api: "PackagesApi", name_contains: str | None, hardware_ids: list[str] | None, device_url: str | None
) -> list[dict[str, Any]]:
    """As --packages would state them. Bytes that the repository keeps are fetched from it."""
    api_url = f"{api.api_client.configuration.host}/"
    base = (device_url or api_url.rpartition("/api/")[0]).rstrip("/")
    if not base:
        stop(f"where devices reach the repository cannot be told from {api_url}: give --device-url", USAGE)
    if urlsplit(base).hostname in ("localhost", "127.0.0.1", "::1"):
        warn(f"devices will look for the packages on {base}, which is each device itself: give --device-url")
    found = api.iter_packages(
        package_source=["targets.json"], name_contains=name_contains, hardware_ids=hardware_ids or None
    )
    stated = [_stated(package, f"{base}/repo/targets/{quote(package.package_id)}") for package in found]
    if not stated:
        stop("no own package of the repository matches; an empty list would take all packages from devices")
    return stated


def _stated(package: "Package", uri: str) -> dict[str, Any]:
    ostree = package.pkg_type == "OSTREE"
    return {
        "name": package.name,
        "version": package.version,
        "hardwareIds": package.hardware_ids or [],
        "targetFormat": package.pkg_type or "BINARY",
        "sha256": package.hashes.get("sha256"),
        "length": package.size,
        "uri": package.uri or (None if ostree else uri),
        "createdAt": package.created_at.isoformat() if package.created_at else None,
        "proprietaryMeta": package.proprietary_meta,
    }


def _show(facts: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        show_json(facts)
        return
    wrote = {"list": facts["uptane"], "TUF list": facts["tuf"], "bundle": facts["bundle"]}
    show_record(wrote | {name: facts[name] for name in ("version", "packages", "expires")})
