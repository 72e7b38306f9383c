"""What a person is told once the data is prepared: the addresses, and the first client's secret."""

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from otarium.settings import Settings

if TYPE_CHECKING:
    from otarium.services.clients import Issued

log = logging.getLogger("otarium.server")

FIRST_CLIENT_FILE = "first-client.json"


def show(settings: Settings, issued: "Issued | None") -> None:
    """On stdout. The first secret is shown once, on a terminal only; elsewhere it goes into a file."""
    base = settings.http.base_url
    lines = [
        f"Packages API   {base}/api/v2beta   (and /api/v2; reference at {base}/docs)",
        f'Uptane devices {base}/repo         (sota.toml: [uptane] repo_server = "{base}/repo")',
        f"TUF clients    {base}/tuf/         (targets at {base}/tuf/targets/)",
    ]
    if not settings.http.is_loopback and settings.http.public_url is None:
        lines.append("Warning        set --public-url to what clients call this server")
    if settings.http.device_access == "token":
        lines.append("Device access  bearer token; Uptane devices send none: use public, or a proxy")
    if issued is not None and sys.stdout.isatty():
        lines += ["", *_first_steps(settings, issued)]
    print("\n".join(lines), flush=True)
    if issued is not None and not sys.stdout.isatty():
        path = _write_secret(settings, issued)
        log.info("the first client's id and secret are in %s (mode 0600)", path)


def _first_steps(settings: Settings, issued: "Issued") -> list[str]:
    api = f"{settings.http.base_url}/api/v2beta"
    client_id, secret = issued.credential.id, issued.secret
    credentials = f"-d client_id={client_id} -d client_secret={secret}"
    extract = 'sed \'s/.*"access_token":"\\([^"]*\\)".*/\\1/\''
    endpoint = settings.http.base_url + settings.http.token_path
    token = f"$(curl -s -d grant_type=client_credentials {credentials} {endpoint} | {extract})"
    return [
        "The first API client, shown this once:",
        f"  client id      {client_id}",
        f"  client secret  {secret}",
        "",
        "Push a file:",
        f"  OTARIUM_HOST={api} OTARIUM_CLIENT_ID={client_id} OTARIUM_CLIENT_SECRET={secret} \\",
        f"    {_command()} push /etc/os-release --name hello --version 1 --hardware-id docker-compose",
        "",
        "The same with curl:",
        f'  curl --data-binary @/etc/os-release -H "Authorization: Bearer {token}" \\',
        f"    '{api}/packages?name=hello&version=2&hardwareId=docker-compose&targetFormat=BINARY'",
        "",
    ]


def _command() -> str:
    """How this very program is called."""
    script = Path(sys.argv[0])
    return str(script) if script.name == "otarium" else f"{sys.executable} -m otarium"


def _write_secret(settings: Settings, issued: "Issued") -> Path:
    path = settings.storage.data_dir / FIRST_CLIENT_FILE
    content = {
        "client_id": issued.credential.id,
        "client_secret": issued.secret,
        "token_endpoint": settings.http.base_url + settings.http.token_path,
    }
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, 0o600)
        json.dump(content, file)
        file.write("\n")
    return path
