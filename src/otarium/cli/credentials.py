"""`otarium client` and `otarium token`: who may call the API."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otarium.cli.opening import AsJson, DataDir, MasterKeyFile, opened, told
from otarium.cli.output import seconds_of, show_table

if TYPE_CHECKING:
    from otarium.domain.access import Credential

Scopes = Annotated[
    list[str] | None,
    typer.Option("--scope", help="packages:read or packages:write; both by default", metavar="S"),
]


def register(app: typer.Typer) -> None:
    """Add the two groups of commands."""
    groups = (
        ("client", "API clients: id and secret.", (client_create, client_list, client_rotate, client_revoke)),
        ("token", "Bearer tokens.", (token_create, token_list, token_revoke)),
    )
    for name, text, commands in groups:
        group = typer.Typer(help=text, no_args_is_help=True)
        for command in commands:
            group.command(command.__name__.partition("_")[2])(command)
        app.add_typer(group, name=name)


def _scopes(raw: list[str] | None) -> Any:
    from otarium.domain.access import DEFAULT_SCOPES, Scope

    return frozenset(map(Scope.parse, raw)) if raw else DEFAULT_SCOPES


def client_create(
    name: Annotated[str, typer.Argument(help="What the client is called in lists")],
    scope: Scopes = None,
    data_dir: DataDir = None,
    master_key_file: MasterKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Make an API client; its secret is shown this once. Example: otarium client create ci --json"""
    with told():
        issued = opened(data_dir, master_key_file).clients.create_client(name, _scopes(scope))
    _show_client(issued.credential.id, issued.secret, as_json)


def client_rotate(
    client_id: Annotated[str, typer.Argument(help="See `otarium client list`")],
    data_dir: DataDir = None,
    master_key_file: MasterKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a client a new secret; the old one and its access tokens stop working."""
    with told():
        issued = opened(data_dir, master_key_file).clients.rotate_client(client_id)
    _show_client(issued.credential.id, issued.secret, as_json)


def _show_client(client_id: str, secret: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"client_id": client_id, "client_secret": secret}))
    else:
        typer.echo(f"client id      {client_id}\nclient secret  {secret}")


def client_revoke(
    client_id: Annotated[str, typer.Argument(help="See `otarium client list`")],
    data_dir: DataDir = None,
    master_key_file: MasterKeyFile = None,
) -> None:
    """Shut a client out, and the access tokens it got; counts on every worker within 5 seconds."""
    with told():
        opened(data_dir, master_key_file).clients.revoke_client(client_id)


def client_list(
    data_dir: DataDir = None, master_key_file: MasterKeyFile = None, as_json: AsJson = False
) -> None:
    """List API clients."""
    with told():
        _show_credentials(opened(data_dir, master_key_file).clients.clients(), as_json)


def token_create(
    name: Annotated[str, typer.Option("--name", help="What the token is called in lists", metavar="NAME")],
    scope: Scopes = None,
    expires: Annotated[str, typer.Option(help="Lifetime: 30m, 12h, 90d, 52w", metavar="TIME")] = "90d",
    data_dir: DataDir = None,
    master_key_file: MasterKeyFile = None,
) -> None:
    """Print a new bearer token. Example: export OTARIUM_TOKEN=$(otarium token create --name laptop)"""
    lifetime = seconds_of(expires)
    with told():
        clients = opened(data_dir, master_key_file).clients
        issued = clients.create_token(name, _scopes(scope), lifetime)
    typer.echo(issued.secret)


def token_revoke(
    token: Annotated[str, typer.Argument(help="Id or name; see `otarium token list`")],
    data_dir: DataDir = None,
    master_key_file: MasterKeyFile = None,
) -> None:
    """Revoke a token; counts on every worker within 5 seconds."""
    with told():
        opened(data_dir, master_key_file).clients.revoke_token(token)


def token_list(
    data_dir: DataDir = None, master_key_file: MasterKeyFile = None, as_json: AsJson = False
) -> None:
    """List tokens made with `token create`."""
    with told():
        _show_credentials(opened(data_dir, master_key_file).clients.tokens(), as_json)


def _show_credentials(credentials: list["Credential"], as_json: bool) -> None:
    from otarium.domain.packages import timestamp

    def described(one: "Credential") -> dict[str, Any]:
        return {
            "id": one.id,
            "name": one.name,
            "scopes": sorted(one.scopes),
            "created_at": timestamp(one.created_at),
            "expires_at": timestamp(one.expires_at) if one.expires_at else None,
            "revoked_at": timestamp(one.revoked_at) if one.revoked_at else None,
        }

    rows = [described(one) for one in credentials]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    columns = ("id", "name", "scopes", "created", "expires", "revoked")
    show_table(columns, [[*(row | {"scopes": " ".join(row["scopes"])}).values()] for row in rows])
