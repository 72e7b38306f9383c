"""What every device asks for all the time: timestamp.json, beside nginx with the same file from its disk.

One worker each, the same load, taking turns.
"""

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

from bench import bare, quiet, wrk
from bench.figures import Figure
from bench.ground import Ground, require_tools
from harness import free_port, http, upload

ROUNDS = 5
SECONDS = 5
PATIENCE = 10.0
CONNECTIONS = 32
PATH = "/repo/timestamp.json"
NGINX = """\
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
{user}
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 100000000;
    default_type application/json;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {directory}/files;
    }}
}}
"""


def run(ground: Ground) -> list[Figure]:
    require_tools("nginx", "wrk")
    ours, theirs, unchanged, theirs_unchanged, alone = [], [], [], [], []
    with ground.server("timestamp") as server:
        upload(server, "hello", "1", b"hello")
        file = http(server, "GET", PATH, token=None)
        with _nginx(ground.directory / "nginx", file.body) as nginx_url, bare.running() as port:
            for _ in range(ROUNDS):
                ours.append(_rate(server.url + PATH))
                theirs.append(_rate(nginx_url + PATH))
                unchanged.append(_rate_of_304(server.url + PATH))
                theirs_unchanged.append(_rate_of_304(nginx_url + PATH))
                alone.append(_rate(f"http://127.0.0.1:{port}{PATH}"))
    return [
        Figure(f"nginx, {len(file.body)} bytes from disk", median(theirs), "requests/s"),
        Figure("the HTTP server without Otarium", median(alone), "requests/s"),
        Figure("timestamp.json", median(ours), "requests/s"),
        Figure("timestamp.json to nginx", median(ours) / median(theirs), "x", at_least=0.85),
        Figure("304 to If-None-Match", median(unchanged), "requests/s"),
        Figure("304 to nginx's 304", median(unchanged) / median(theirs_unchanged), "x", at_least=0.6),
    ]


def _rate(url: str, *headers: str) -> float:
    quiet.wait(PATIENCE)
    return wrk.load(url, headers=headers, connections=CONNECTIONS, seconds=SECONDS).rate


def _rate_of_304(url: str) -> float:
    with urllib.request.urlopen(url) as answer:
        etag = answer.headers["ETag"]
    condition = urllib.request.Request(url, headers={"If-None-Match": etag})
    with suppress(urllib.error.HTTPError), urllib.request.urlopen(condition) as answer:
        raise RuntimeError(f"{answer.status} instead of 304")
    return _rate(url, f"If-None-Match: {etag}")


@contextmanager
def _nginx(directory: Path, content: bytes) -> Iterator[str]:
    """The base URL of an nginx that serves `content`."""
    file = directory / "files" / PATH.removeprefix("/")
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    port = free_port()
    configuration = directory / "nginx.conf"
    user = "user root;" if directory.owner() == "root" else ""
    configuration.write_text(NGINX.format(directory=directory.resolve(), port=port, user=user))
    command = ["nginx", "-e", str(directory.resolve() / "error.log"), "-c", str(configuration.resolve())]
    process = subprocess.Popen(command)
    try:
        time.sleep(1)
        if process.poll() is not None:
            raise RuntimeError(f"nginx ended:\n{(directory / 'error.log').read_text()}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
