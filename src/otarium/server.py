"""The server process: one data directory, one lock on it, one process tree.

First run and migrations happen once, before any worker opens anything. Workers die with this process, and
SIGTERM drains them.
"""

import errno
import fcntl
import gc
import multiprocessing
import os
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.server import MPServer

from otarium import logs, running
from otarium.domain.errors import Broken
from otarium.processes import MAIN_PID, Preparation, worker
from otarium.settings import Settings

MOST_CONNECTIONS = 16_384
"""Of one worker. Whoever comes after is accepted once another has left."""
READ_BYTES = 512 * 1024
"""Of a body at once, as much as an upload writes at once: each piece costs the same, however small."""


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises Broken when the data directory cannot be served."""
    logging_config = logs.configure(settings.logs.format)
    _require_device_access(settings)
    _require_a_guarded_copy(settings)
    data_dir = settings.storage.data_dir
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(settings):
        _require_free_port(settings)
        os.environ[MAIN_PID] = str(os.getpid())
        with running.directory(settings.storage.run_dir) as shared:
            os.environ.update(settings.environment(), **shared)
            _run(settings, logging_config)


def _run(settings: Settings, logging_config: dict[str, Any]) -> None:
    # Forked, so what is loaded here is in memory once. That must be little, with no database open and no
    # thread but such as wait for a child. Frozen, for a search for garbage would write to all of it, and so
    # copy it.
    multiprocessing.set_start_method("fork", force=True)
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
        http1_settings=HTTP1Settings(max_buffer_size=READ_BYTES),
        ssl_cert=http.tls_cert,
        ssl_key=http.tls_key,
    )
    server.leaving = running.Leaving(settings.storage.run_dir, http.leave_seconds)
    preparation = Preparation(settings)
    server.on_startup(partial(preparation.start, server.stop))
    gc.freeze()
    server.serve(target_loader=partial(worker, preparation), wrap_loader=False)
    preparation.require()


class _Server(MPServer):
    """Leaves its balancers before it stops."""

    leaving: running.Leaving

    def stop(self) -> None:
        interrupt: Any = super().signal_handler_interrupt
        interrupt()

    def signal_handler_interrupt(self, *arguments: Any, **_: Any) -> None:
        self.leaving.then(signal.Signals(arguments[0]), self.stop)


def _connections() -> int:
    """How many a worker takes at once: devices hold theirs open. A quarter of the files is for all else."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return MOST_CONNECTIONS if most == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, most * 3 // 4)


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
        with running.locked_by_main(file.fileno()):
            yield
