"""What the first start tells a person at a terminal: everything needed, with lines to paste."""

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from api.calls import page
from harness import Server, free_port, http


@pytest.fixture(scope="module")
def on_terminal(tmp_path_factory):
    """A server started on a terminal, and what it showed."""
    server = Server(tmp_path_factory.mktemp("banner") / "data", free_port())
    shown = start_on_terminal(server)
    server.token = server.create_token()
    yield server, shown
    server.kill_group()


def start_on_terminal(server):
    inside, outside = pty.openpty()
    words = ["serve", "--data-dir", str(server.data_dir), "--port", str(server.port)]
    server.process = subprocess.Popen(
        [str(Path(sys.executable).with_name("otarium")), *words],
        stdin=outside,
        stdout=outside,
        stderr=outside,
        start_new_session=True,
    )
    os.close(outside)
    server.wait_until_ready()
    shown = b""
    while select.select([inside], [], [], 0.5)[0]:
        shown += os.read(inside, 65536)
    return shown.decode().replace("\r\n", "\n")


def pasted(shown, heading):
    """The lines after a heading up to the next empty one, as a shell gets them."""
    block = shown.partition(heading + "\n")[2].partition("\n\n")[0]
    assert block, shown
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTARIUM_")}
    environment["no_proxy"] = "127.0.0.1"
    return subprocess.run(
        ["sh", "-c", block], env=environment, capture_output=True, text=True, timeout=60, cwd="/"
    )


def test_the_banner_names_everything_that_a_person_needs(on_terminal):
    server, shown = on_terminal
    for needed in (
        server.api,
        server.repo,
        server.tuf,
        "sota.toml",
        f'repo_server = "{server.repo}"',
        server.url + "/docs",
    ):
        assert needed in shown, needed
    assert re.search(r"client id +\S+", shown)
    assert re.search(r"client secret +\S+", shown)


def test_its_push_line_works_when_it_is_pasted(on_terminal):
    server, shown = on_terminal
    done = pasted(shown, "Push a file:")
    assert done.returncode == 0, done.stderr
    (found,) = page(server, "name=hello&version=1")["values"]
    served = http(server, "GET", f"/repo/targets/{found['packageId']}").body
    assert served == Path("/etc/os-release").read_bytes()


@pytest.mark.skipif(not shutil.which("curl"), reason="the line is for curl, which is not installed")
def test_its_curl_line_works_when_it_is_pasted(on_terminal):
    server, shown = on_terminal
    done = pasted(shown, "The same with curl:")
    assert json.loads(done.stdout)["packageId"] == "hello-2"
    (found,) = page(server, "name=hello&version=2")["values"]
    assert found == json.loads(done.stdout)


def test_the_secret_is_shown_on_the_first_start_alone_and_kept_nowhere(on_terminal):
    server, shown = on_terminal
    secret = re.search(r"client secret +(\S+)", shown)[1]
    for path in server.data_dir.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path
    assert server.stop() == 0
    again = start_on_terminal(server)
    assert secret not in again
    assert "client secret" not in again
    assert server.api in again
