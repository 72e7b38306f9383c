"""Downloads that nginx sends from Otarium's directory: whole, in ranges, and to every client."""

import re
from collections.abc import Iterator

import pytest

from device.external import HARDWARE, client, every_client
from harness import Server, free_port, http, running_server, upload
from nginx import handing_over, nginx_in_front, require_nginx

BODY = bytes(range(256)) * 8192


@pytest.fixture(scope="module")
def front(tmp_path_factory) -> Iterator[Server]:
    require_nginx()
    directory = tmp_path_factory.mktemp("handed")
    with running_server(directory / "data", env={"OTARIUM_DOWNLOADS": "nginx"}) as server:
        upload(server, "app", "1", BODY, [HARDWARE])
        with nginx_in_front(server, directory / "nginx", handing_over(server, directory)) as front:
            front.__dict__["behind"] = server
            yield front


@every_client
def test_every_client_downloads_through_nginx(judge, front, tmp_path):
    assert client(judge, front, tmp_path).follow("app-1") == {"app-1": BODY}


def test_otarium_sends_a_path_and_no_bytes(front):
    answer = http(front.__dict__["behind"], "GET", "/repo/targets/app-1", token=None)
    assert (answer.status, answer.body) == (200, b"")
    assert re.fullmatch(r"/otarium-blobs/([0-9a-f]{2})/\1[0-9a-f]{62}", answer.headers["x-accel-redirect"])


def test_ranges_and_conditions_are_answered_by_nginx(front):
    part = http(front, "GET", "/repo/targets/app-1", token=None, headers={"Range": "bytes=1000-1999"})
    assert (part.status, part.body) == (206, BODY[1000:2000])
    assert part.headers["content-type"] == "application/octet-stream"
    assert "x-accel-redirect" not in part.headers
    whole = http(front, "HEAD", "/repo/targets/app-1", token=None)
    assert int(whole.headers["content-length"]) == len(BODY)
    unchanged = {"If-None-Match": whole.headers["etag"]}
    assert http(front, "GET", "/repo/targets/app-1", token=None, headers=unchanged).status == 304


def test_nobody_reaches_the_directory_from_outside(front):
    behind = http(front.__dict__["behind"], "GET", "/repo/targets/app-1", token=None)
    assert http(front, "GET", behind.headers["x-accel-redirect"], token=None).status == 404


def test_the_files_can_be_read_by_the_group_and_by_nobody_else(front):
    for path in (front.data_dir / "blobs" / "sha256").glob("??/*"):
        assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "env",
    [
        {"OTARIUM_DOWNLOADS": "links"},
        {"OTARIUM_DOWNLOADS": "nginx", "OTARIUM_BLOBS_URL": "s3://x/y"},
        {"OTARIUM_LINKS_ENDPOINT": "https://store.example.com", "OTARIUM_BLOBS_URL": "s3://x/y"},
    ],
)
def test_a_store_that_cannot_hand_over_is_told_at_the_start(env, tmp_path):
    server = Server(tmp_path / "data", free_port(), env=env)
    with pytest.raises(RuntimeError, match=r"OTARIUM_\w+.* needs"):
        server.start()
