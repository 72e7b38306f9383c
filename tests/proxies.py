"""nginx and HAProxy with the files of deploy/, before replicas on loopback: names and ports are put in, all
else is as shipped."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from harness import free_port


class Replica(Protocol):
    port: int


DEPLOY = Path(__file__).parents[1] / "deploy"
DEVICE_HEADER = {"OTARIUM_DEVICE_HEADER": "X-Otarium-Device"}


def nginx_config(directory: Path, replicas: Sequence[Replica], port: int) -> Path:
    """The whole configuration; its file."""
    snippet = _aimed((DEPLOY / "nginx/otarium.conf").read_text(), replicas)
    snippet = snippet.replace("listen 80;", f"listen 127.0.0.1:{port};")
    paths = "".join(
        f"{kind}_temp_path {directory}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = directory / "nginx.conf"
    user = "user root;\n" if os.geteuid() == 0 else ""
    file.write_text(
        f"daemon off;\n{user}"
        f"worker_processes 2;\npid {directory}/nginx.pid;\nerror_log {directory}/error.log;\n"
        f"events {{ worker_connections 1024; }}\nhttp {{\naccess_log off;\n{paths}{snippet}}}\n"
    )
    return file


def haproxy_config(directory: Path, replicas: Sequence[Replica], port: int) -> Path:
    text = _aimed((DEPLOY / "haproxy/otarium.cfg").read_text(), replicas)
    file = directory / "haproxy.cfg"
    file.write_text(text.replace("bind :80\n", f"bind 127.0.0.1:{port}\n"))
    return file


def _aimed(text: str, replicas: Sequence[Replica]) -> str:
    for number, replica in enumerate(replicas, 1):
        text = text.replace(f"otarium-{number}:8080", f"127.0.0.1:{replica.port}")
    assert not re.search(r"otarium-\d:8080", text), "the file has more replicas than run"
    return text


PROXIES: dict[str, tuple[Callable[[Path, Sequence[Replica], int], Path], Callable[[Path], list[str]]]] = {
    "nginx": (nginx_config, lambda file: [tool("nginx"), "-c", str(file)]),
    "haproxy": (haproxy_config, lambda file: [tool("haproxy"), "-db", "-f", str(file)]),
}


def tool(name: str) -> str:
    """Debian keeps both where only root's PATH leads."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        raise RuntimeError(f"{name} is missing: install Debian's package {name}")
    return found


def is_installed(name: str) -> bool:
    try:
        return bool(tool(name))
    except RuntimeError:
        return False


@contextmanager
def running_proxy(
    name: str, directory: Path, replicas: Sequence[Replica], edit: Callable[[str], str] = str
) -> Iterator[int]:
    """Its port. `edit` changes the configuration further."""
    make, command = PROXIES[name]
    port = free_port()
    file = make(directory, replicas, port)
    file.write_text(edit(file.read_text()))
    with listening(command(file), port, directory / f"{name}.log"):
        yield port


@contextmanager
def listening(command: Sequence[str], port: int, log: Path) -> Iterator[None]:
    """While a proxy runs."""
    with log.open("wb") as written:
        process = subprocess.Popen(command, stdout=written, stderr=written)
    try:
        deadline = time.monotonic() + 10
        while not _is_listening(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text())
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
