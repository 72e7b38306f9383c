"""A real nginx in front of servers, with the configuration that is shipped."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import Server, free_port
from proxies import DEPLOY, is_installed, listening, running_proxy, tool

SHIPPED = DEPLOY / "nginx"
CONFIGURATION = """\
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
{user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    upstream otarium {{ server 127.0.0.1:{otarium}; keepalive 32; }}
    server {{
        listen 127.0.0.1:{port};
        {inside}
    }}
}}
"""


@contextmanager
def nginx_in_front(server: Server, directory: Path, inside: str) -> Iterator[Server]:
    """`inside` is what its `server` block says."""
    directory.mkdir()
    directory, port = directory.resolve(), free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    places = {"directory": directory, "port": port, "otarium": server.port, "user": user, "inside": inside}
    (directory / "nginx.conf").write_text(CONFIGURATION.format(**places))
    command = [tool("nginx"), "-p", str(directory), "-c", str(directory / "nginx.conf")]
    with listening(command, port, directory / "nginx.log"):
        yield Server(server.data_dir, port, token=server.token)


@contextmanager
def nginx_on_a_copy(server: Server, directory: Path, copy: Path, more: str = "") -> Iterator[Server]:
    """otarium.conf and offload.conf together, as shipped, and `more` beside them."""
    directory.mkdir()
    directory, line = directory.resolve(), "# include /etc/nginx/otarium-offload.conf;"
    snippet = directory / "offload.conf"
    snippet.write_text(
        (SHIPPED / "offload.conf").read_text().replace("/srv/otarium-copy", str(copy.resolve()))
    )

    def edit(text: str) -> str:
        assert line in text
        return text.replace(line, f"include {snippet};\n{more}")

    with running_proxy("nginx", directory, [server, server], edit) as port:
        yield Server(server.data_dir, port, token=server.token)


def require_nginx() -> None:
    """CI installs it."""
    if not is_installed("nginx") and os.environ.get("CI") != "true":
        pytest.skip("nginx is not installed")


def handing_over(server: Server, directory: Path) -> str:
    """The shipped snippet with this server's directory; and below /plain what is in `directory`."""
    shipped = (SHIPPED / "downloads.conf").read_text()
    return "\n".join(
        (
            'proxy_http_version 1.1; proxy_set_header Connection "";',
            "location / { proxy_pass http://otarium; }",
            f"location /plain/ {{ root {directory.resolve()}; sendfile on; tcp_nopush on; }}",
            shipped.replace("/srv/otarium-blobs/", f"{server.data_dir.resolve()}/blobs/"),
        )
    )
