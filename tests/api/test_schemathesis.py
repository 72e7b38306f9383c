"""The whole document under schemathesis, authorised: no server error, no answer beside the schema.

Its configuration, with a reason for every exception, is schemathesis.toml beside this file.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.sources import add, feed, remove_all
from api.traces import agreed
from harness import http, running_server, upload
from publisher import serving

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Its own, since everything in it may be deleted."""
    with running_server(tmp_path_factory.mktemp("schemathesis") / "data") as running, serving() as host:
        for version in range(1, 13):
            upload(running, "known", str(version), b"x")
        for number in range(1, 9):
            add(running, feed(host, f"source-{number}"))
        yield running


def test_no_check_of_schemathesis_fails(server, tmp_path):
    tool = str(Path(sys.executable).with_name("schemathesis"))
    command = [tool, "--config-file", str(CONFIGURATION), "run", f"{server.url}/openapi.json", "--no-color"]
    environment = os.environ | {"OTARIUM_TOKEN": server.token, "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Tested: 17" in done.stdout
    assert "internal error" not in server.log_tail(1_000_000)
    remove_all(server)  # the signed files are compared with a list that shows their packages too
    agreed(server)
    assert http(server, "GET", "/health/ready").status == 200
    verified = server.run("verify", check=False)
    assert verified.returncode == 0, verified.stdout
