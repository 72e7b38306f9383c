"""The server process: one data directory, one lock on it, one process tree.

First run and migrations happen here, once, before any worker starts. Workers die with this process, and
SIGTERM drains them.
"""

import ctypes
import errno
import fcntl
import gc
import json
import logging
import multiprocessing
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from granian.constants import Interfaces
from granian.server import MPServer

from otarium import logs, running
from otarium.domain.errors import Broken
from otarium.settings import Settings

if TYPE_CHECKING:
    from otarium.services.clients import Issued
    from otarium.web.app import Asgi

log = logging.getLogger("otarium.server")

_PR_SET_PDEATHSIG = 1
_MAIN_PID = "OTARIUM_MAIN_PID"
FIRST_CLIENT_FILE = "first-client.json"
MOST_CONNECTIONS = 16_384
"""Of one worker. Whoever comes after is accepted once another has left."""


def serve(settings: Settings, banner: "Banner") -> None:
    """Run until SIGTERM or SIGINT. Raises Broken when the data directory cannot be served."""
    logging_config = logs.configure(settings.logs.format)
    _require_device_access(settings)
    _require_a_guarded_copy(settings)
    data_dir = settings.storage.data_dir
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(settings):
        _require_free_port(settings)
        os.environ[_MAIN_PID] = str(os.getpid())
        # In a process of its own: what is loaded for this would stay in memory for good.
        fork = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(1, fork, initializer=_die_with_parent) as once:
            issued = once.submit(_prepare, settings).result()
        banner.show(settings, issued)
        with running.directory(settings.storage.run_dir) as shared:
            os.environ.update(settings.environment(), **shared)
            _run(settings, logging_config)


def _prepare(settings: Settings) -> "Issued | None":
    """The first client, if there was none."""
    from otarium import bootstrap

    repository, issued = bootstrap.start(settings)
    repository.catalog.close()
    return issued


def _run(settings: Settings, logging_config: dict[str, Any]) -> None:
    # Spawned rather than forked: a fork would carry open database handles into the workers.
    multiprocessing.set_start_method("spawn", force=True)
    http = settings.http
    server = _Server(
        "otarium",
        address=http.host,
        port=http.port,
        interface=Interfaces.ASGI,
        workers=http.workers,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=max(1, http.drain_seconds - 1),
        backpressure=_connections(),
        log_dictconfig=logging_config,
        ssl_cert=http.tls_cert,
        ssl_key=http.tls_key,
    )
    server.leaving = running.Leaving(settings.storage.run_dir, http.leave_seconds)
    server.serve(target_loader=worker, wrap_loader=False)


class _Server(MPServer):
    """Leaves its balancers before it stops."""

    leaving: running.Leaving

    def signal_handler_interrupt(self, *arguments: Any, **options: Any) -> None:
        stop: Any = super().signal_handler_interrupt
        self.leaving.then(signal.Signals(arguments[0]), lambda: stop(*arguments, **options))


def _connections() -> int:
    """How many a worker takes at once: devices hold theirs open. A quarter of the files is for all else."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return MOST_CONNECTIONS if most == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, most * 3 // 4)


def worker() -> "Asgi":
    """The application of one worker process; called by the server in it."""
    from otarium import bootstrap

    _die_with_parent()
    settings = Settings()
    logs.configure(settings.logs.format)
    app = bootstrap.web_app(settings)
    # What is here now stays: to look through all of it for garbage stops a worker for tens of milliseconds.
    gc.collect()
    gc.freeze()
    return app


def _die_with_parent() -> None:
    """Without this a killed main process would leave workers answering on the port."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(os.environ[_MAIN_PID]):
        os._exit(1)


def _require_device_access(settings: Settings) -> None:
    if settings.http.device_access is None and not settings.http.is_loopback:
        raise Broken(
            f"{settings.http.host} can be reached from other machines, so say who may fetch metadata and "
            "packages: --device-access public (everybody, as devices with aktualizr need) or "
            "--device-access token (a bearer token with packages:read)"
        )


def _require_a_guarded_copy(settings: Settings) -> None:
    storage = settings.storage
    if storage.offload_url and settings.http.device_access == "token" and not storage.offload_open:
        raise Broken(
            "OTARIUM_DEVICE_ACCESS=token does not guard the copy in OTARIUM_OFFLOAD_URL: whoever reaches "
            "that bucket or web server gets everything. Where that is meant, set OTARIUM_OFFLOAD_OPEN=true"
        )


def _require_free_port(settings: Settings) -> None:
    """The workers share the port, so the kernel would let a second server in and split the requests."""
    http = settings.http
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            http.host, http.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        reason = error.strerror or str(error)
        raise Broken(f"cannot serve on {http.host} port {http.port}: {reason}; choose another") from None


@contextmanager
def _locked(settings: Settings) -> Iterator[None]:
    """Exclusive use of the data directory. Raises Broken, which says who has it."""
    path = settings.storage.data_dir / running.LOCK
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            file.seek(0)
            holder = file.read().strip() or "another process"
            directory = settings.storage.data_dir
            raise Broken(f"the data directory {directory} is in use by {holder}") from None
        file.truncate(0)
        file.write(f"process {os.getpid()}, serving {settings.http.base_url}\n")
        file.flush()
        os.set_inheritable(file.fileno(), False)
        yield


class Banner:
    """What a person needs after the start. The first secret is shown once, on a terminal only."""

    def show(self, settings: Settings, issued: "Issued | None") -> None:
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
        if issued is None:
            self._print(lines)
        elif sys.stdout.isatty():
            self._print([*lines, "", *_first_steps(settings, issued)])
        else:
            self._print(lines)
            path = _write_secret(settings, issued)
            log.info("the first client's id and secret are in %s (mode 0600)", path)

    def _print(self, lines: list[str]) -> None:
        print("\n".join(lines), flush=True)


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
