"""How the user commands reach the API: their common options, the environment, and the client module itself.

The client is imported only when a command runs: `--help` stays quick, and a foreign module of the same name
is noticed instead of failing somewhere inside.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import typer

from otarium.cli.output import USAGE, failures, stop

if TYPE_CHECKING:
    from torizon_io_api import Configuration, Package, PackagesApi

Host = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="API base URL, such as http://127.0.0.1:8080/api/v2beta. Default: OTARIUM_HOST.",
    ),
]
Token = Annotated[str | None, typer.Option(metavar="TOKEN", help="Bearer token. Default: OTARIUM_TOKEN.")]
ClientId = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Log in with this client. Default: OTARIUM_CLIENT_ID."),
]
ClientSecret = Annotated[
    str | None,
    typer.Option(
        metavar="SECRET", help="Its secret. Default: OTARIUM_CLIENT_SECRET, which other users cannot see."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_EXAMPLE = "http://127.0.0.1:8080/api/v2beta"


@contextmanager
def repository(
    host: str | None, token: str | None, client_id: str | None, client_secret: str | None
) -> Iterator["PackagesApi"]:
    """The API with its credentials; what goes wrong inside ends the command with one line."""
    module = _own_client()
    configuration = _configuration(module, host, token, client_id, client_secret)
    with (
        failures(module.ApiException, ValueError),
        module.ApiClient(configuration) as client,
    ):
        yield module.PackagesApi(client)


def document(package: "Package") -> dict[str, Any]:
    """The package as the API wrote it."""
    found: dict[str, Any] = json.loads(package.to_json())
    return found


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for this URL; never one for this machine itself."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if _is_loopback(host) or proxy_bypass(host):
        return None
    return getproxies().get(parts.scheme)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _own_client() -> ModuleType:
    """The `torizon_io_api` of this distribution; PyPI's torizon-io-api installs over the same directory."""
    try:
        import torizon_io_api as module
    except ImportError as error:
        stop(_foreign(f"it cannot be imported ({error})"))
    if getattr(module, "__implementation__", None) != "otarium":
        stop(_foreign(f"the one in {getattr(module, '__file__', None)} is another"))
    return module


def _foreign(what: str) -> str:
    return (
        f"the commands need Otarium's own module torizon_io_api, but {what}; PyPI's torizon-io-api has the"
        " same module name: run  pip uninstall torizon-io-api && pip install --force-reinstall otarium"
    )


def _configuration(
    module: ModuleType,
    host: str | None,
    token: str | None,
    client_id: str | None,
    client_secret: str | None,
) -> "Configuration":
    host = host or os.environ.get("OTARIUM_HOST")
    if not host:
        stop(f"set OTARIUM_HOST to the API base URL, such as {_EXAMPLE}, or give --host", USAGE)
    try:
        configuration: Configuration = module.Configuration(
            host, proxy=proxy_for(host), **_credentials(token, client_id, client_secret)
        )
    except ValueError as error:
        stop(str(error), USAGE)
    return configuration


def _credentials(token: str | None, client_id: str | None, client_secret: str | None) -> dict[str, str]:
    """Options count before the environment, and a token before a login."""
    environment = os.environ
    if token and not client_id:
        return {"access_token": token}
    if token:
        stop("give either --token or --client-id, not both", USAGE)
    if not client_id and not client_secret and environment.get("OTARIUM_TOKEN"):
        return {"access_token": environment["OTARIUM_TOKEN"]}
    client_id = client_id or environment.get("OTARIUM_CLIENT_ID")
    client_secret = client_secret or environment.get("OTARIUM_CLIENT_SECRET")
    if not client_id or not client_secret:
        stop("set OTARIUM_TOKEN, or OTARIUM_CLIENT_ID and OTARIUM_CLIENT_SECRET, or give --token", USAGE)
    return {"client_id": client_id, "client_secret": client_secret}
